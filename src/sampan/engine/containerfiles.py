"""The files that are mounted over a container's /etc: hosts, resolv.conf, hostname."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.network import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container
    from sampan.engine.endpoints import Plan


def write(container: Container, plan: Plan) -> list[tuple[str, str]]:
    """Write them into the bundle; (source, destination) of each, for the runtime to bind."""
    host, mode = container.host_config, container.network_mode()
    if mode.startswith("container:"):
        peer = container.engine.containers.get(mode.partition(":")[2])
        return [
            (f"{peer.bundle}/{name}", f"/etc/{name}")
            for name in ("hosts", "resolv.conf", "hostname")
        ]
    hostname = container.config.get("Hostname") or container.id[:12]
    if mode == "host":
        import socket

        hostname = container.config.get("Hostname") or socket.gethostname()
    domain = container.config.get("Domainname")
    names = [f"{hostname}.{domain}", hostname] if domain else [hostname]
    texts = {
        "hosts": files.hosts(
            [(place.endpoint.ipv4, names) for place in plan.places],
            list(_extra_hosts(host, plan)),
        ),
        "resolv.conf": files.resolv_conf(
            _host_resolv_conf(),
            dns=host.get("Dns") or (),
            search=host.get("DnsSearch") or (),
            options=host.get("DnsOptions") or (),
        )
        if mode != "host" or host.get("Dns")
        else _host_resolv_conf(),
        "hostname": files.hostname(hostname),
    }
    for name, text in texts.items():
        # Written in place: the file is bind-mounted by inode while the container runs.
        with open(f"{container.bundle}/{name}", "w") as file:
            file.write(text)
    return [(f"{container.bundle}/{name}", f"/etc/{name}") for name in texts]


def _extra_hosts(host: dict[str, object], plan: Plan) -> Iterator[tuple[str, str]]:
    extra = host.get("ExtraHosts") or []
    assert isinstance(extra, list)
    for text in extra:
        name, _, address = text.partition(":")
        if address == "host-gateway":
            address = plan.places[0].network.gateway if plan.places else "127.0.0.1"
        yield name, address


def _host_resolv_conf() -> str:
    try:
        with open("/etc/resolv.conf") as file:
            return file.read()
    except OSError:
        return ""
