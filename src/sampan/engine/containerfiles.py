"""The files that are mounted over a container's /etc: hosts, resolv.conf, hostname."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from sampan.engine.containers import links
from sampan.engine.places import Plan
from sampan.engine.places import of as places_of
from sampan.kit import errors
from sampan.network import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container


_NAMES = ("hosts", "resolv.conf", "hostname")


def write(container: Container, plan: Plan) -> list[tuple[str, str]]:
    """Write them into the bundle; (source, destination) of each, for the runtime to bind."""
    if container.network_mode().startswith("container:"):
        return places(container)
    texts = {
        "hosts": _hosts(container, plan),
        "resolv.conf": resolv_conf(container, embedded=any(place.named for place in plan.places)),
        "hostname": files.hostname(_hostname(container)),
    }
    for name, text in texts.items():
        write_file(container, name, text)
    return places(container)


def relink(target: Container) -> None:
    """It may have another address now: who runs and has a legacy link to it must know that."""
    for container in target.engine.containers:
        if container.running and any(found is target for found, _ in links.of(container)):
            plan = Plan(places=tuple(places_of(container)))
            with contextlib.suppress(errors.SampanError):  # another one that it is linked to ended
                write_file(container, "hosts", _hosts(container, plan))


def _hostname(container: Container) -> str:
    return container.config.get("Hostname") or container.id[:12]


def _hosts(container: Container, plan: Plan) -> str:
    hostname, domain = _hostname(container), container.config.get("Domainname")
    full = f"{hostname}.{domain}" if domain else hostname
    short = hostname if domain else hostname.partition(".")[0]
    names = [full, short] if short != full else [full]
    return files.hosts(
        [
            (address, names)
            for place in plan.places
            for address in (place.endpoint.ipv4, place.endpoint.ipv6)
        ],
        [*_extra_hosts(container.host_config, plan), *_linked(container)],
        first=_read("/etc/hosts") if container.network_mode() == "host" else "",
    )


def places(container: Container) -> list[tuple[str, str]]:
    """(source, destination) of each; in another container's network they are that one's."""
    owner = container
    while (mode := owner.network_mode()).startswith("container:"):
        owner = container.engine.containers.get(mode.partition(":")[2])
    return [(f"{owner.bundle}/{name}", f"/etc/{name}") for name in _NAMES]


def write_file(container: Container, name: str, text: str) -> None:
    """In place: the file is bind-mounted by inode while the container runs.

    Not by emptying it first: then ext4 writes it to the disk before close(2) returns (ext4(5),
    auto_da_alloc).
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    with open(os.open(f"{container.bundle}/{name}", flags, 0o666), "w") as file:
        file.write(text)
        file.truncate()


def resolv_conf(container: Container, *, embedded: bool) -> str:
    """`embedded`: its name server is ours (`engine/name_servers.py`)."""
    host = container.host_config
    settings = container.engine.settings
    if container.network_mode() == "host" and not host.get("Dns"):
        return host_resolv_conf()
    return files.resolv_conf(
        host_resolv_conf(),
        dns=host.get("Dns") or settings["dns"],
        search=host.get("DnsSearch") or settings["dns-search"],
        options=host.get("DnsOptions") or settings["dns-opts"],
        embedded=embedded,
    )


def _linked(container: Container) -> Iterator[tuple[str, str]]:
    return links.hosts(container) if container.network_mode() == "bridge" else iter(())


def _extra_hosts(host: dict[str, object], plan: Plan) -> Iterator[tuple[str, str]]:
    extra = host.get("ExtraHosts") or []
    assert isinstance(extra, list)
    for text in extra:
        name, _, address = text.partition(":")
        if address == "host-gateway":
            address = plan.main.network.gateway if plan.main else "127.0.0.1"
        yield name, address


def host_resolv_conf() -> str:
    return _read("/etc/resolv.conf")


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
