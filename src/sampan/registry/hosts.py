"""Where a registry is reached: `hosts.toml` directories as containerd's, mirrors first.

    Config().of("docker.io")     [Host("mirror…"), …, Host("registry-1.docker.io")]

Under a directory (`/etc/sampan/certs.d`, then containerd's, then docker's) stands one directory
a registry, named `HOST:PORT` (or `HOST_PORT_`), or `_default` for all others. In it `hosts.toml`:

    server = "https://registry.example"
    [host."http://mirror.example:5000"]
      capabilities = ["pull", "resolve"]
      skip_verify = false
      ca = "ca.pem"
      client = [["client.cert", "client.key"]]

or, without it, docker's `*.crt`, `*.cert`, `*.key`. Registries on loopback are reached by https
with whatever certificate, else by plain http, as docker treats 127.0.0.0/8.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from typing import Any
from urllib.parse import urlsplit

from sampan.kit import errors
from sampan.kit.record import Record

DIRECTORIES = ("/etc/sampan/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d")
ALL = frozenset({"pull", "resolve", "push"})
_HUB = "registry-1.docker.io"


class Host(Record):
    """One place to send requests to."""

    name: str  # HOST[:PORT], as in its URL
    scheme: str = "https"
    path: str = "/v2"  # before /REPOSITORY/manifests/…
    capabilities: frozenset[str] = ALL
    verify: bool = True
    plain_fallback: bool = False  # http, where https is not spoken
    ca: tuple[str, ...] = ()
    client: tuple[tuple[str, str], ...] = ()  # (certificate, key); the key may be ""
    headers: tuple[tuple[str, str], ...] = ()
    mirror_of: str = ""  # the registry it stands in for, "" when it is the registry itself

    def __str__(self) -> str:
        return self.name


class BadHosts(errors.InvalidArgument):
    def __init__(self, path: str, why: object) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


class Config(Record):
    directories: tuple[str, ...] = DIRECTORIES
    insecure: tuple[str, ...] = ()  # HOST[:PORT] or networks that are treated as loopback is
    mirrors: tuple[str, ...] = ()  # URLs that stand in for Docker Hub, beside those of a file

    def of(self, domain: str) -> list[Host]:
        """Where to ask for images of a registry, in order, itself last. Raises BadHosts."""
        own = Host(name=_HUB if domain == "docker.io" else domain)
        if self._insecure(own.name):
            own = own.replace(verify=False, plain_fallback=True)
        found = self._from_directory(domain, own)
        named = {host.name for host in found}
        mirrors = [host for host in self._mirrors(domain) if host.name not in named]
        at = next((n for n, host in enumerate(found) if not host.mirror_of), len(found))
        return [*found[:at], *mirrors, *found[at:]]

    def _from_directory(self, domain: str, own: Host) -> list[Host]:
        directory = self._directory(domain, "_default")
        if directory is None:
            return [own]
        path = f"{directory}/hosts.toml"
        if not os.path.exists(path):
            return [_with_certificates(own, directory)]
        try:
            with open(path, "rb") as file:
                return _read(tomllib.load(file), directory, domain, own)
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise BadHosts(path, error) from error

    def _directory(self, domain: str, *others: str) -> str | None:
        escaped = "_".join(domain.rsplit(":", 1)) + ("_" if ":" in domain else "")
        for name in (domain, escaped, *others):
            for directory in self.directories:
                if os.path.isdir(f"{directory}/{name}"):
                    return f"{directory}/{name}"
        return None

    def _mirrors(self, domain: str) -> list[Host]:
        found = []
        for url in self.mirrors if domain == "docker.io" else ():
            host = _host(url, {"capabilities": ["pull", "resolve"]}, "")
            if self._insecure(host.name):
                host = host.replace(verify=False, plain_fallback=True)
            if directory := self._directory(host.name):
                host = _with_certificates(host, directory)
            found.append(host.replace(mirror_of=domain))
        return found

    def _insecure(self, name: str) -> bool:
        host = urlsplit(f"//{name}").hostname or ""
        if host == "localhost" or name in self.insecure or host in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        networks = [item for item in self.insecure if "/" in item]
        return address.is_loopback or any(
            address in ipaddress.ip_network(network, strict=False) for network in networks
        )


def _read(document: dict[str, Any], directory: str, domain: str, own: Host) -> list[Host]:
    found = []
    for url, table in (document.get("host") or {}).items():
        host = _host(url, table, directory)
        found.append(host if host.name == own.name else host.replace(mirror_of=domain))
    server = document.get("server")
    if server:
        own = _host(server, document, directory)
    elif any(host.name == own.name and not host.mirror_of for host in found):
        return found
    return [*found, own]


def _host(url: str, table: dict[str, Any], directory: str) -> Host:
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no http or https address")
    if "@" in parts.netloc:
        raise ValueError(f"{parts.hostname} has a user name in its address; that goes to auth.json")
    path = parts.path.rstrip("/")
    if not table.get("override_path") and not path.endswith("/v2"):
        path += "/v2"
    capabilities = frozenset(table.get("capabilities") or ALL)
    if capabilities - ALL:
        raise ValueError(f"unknown capabilities {', '.join(sorted(capabilities - ALL))}")
    headers = tuple(
        (name, value)
        for name, values in (table.get("header") or {}).items()
        for value in ([values] if isinstance(values, str) else values)
    )
    return Host(
        name=parts.netloc,
        scheme=parts.scheme,
        path=path,
        capabilities=capabilities,
        verify=not table.get("skip_verify", False),
        ca=tuple(os.path.join(directory, name) for name in _list(table.get("ca"))),
        client=tuple(_pair(item, directory) for item in _list(table.get("client"))),
        headers=headers,
    )


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _pair(item: Any, directory: str) -> tuple[str, str]:
    certificate, key = (item, "") if isinstance(item, str) else (*item, "")[:2]
    return os.path.join(directory, certificate), os.path.join(directory, key) if key else ""


def _with_certificates(host: Host, directory: str) -> Host:
    ca, client = _docker_files(directory)
    return host.replace(ca=ca, client=client, verify=host.verify or bool(ca))


def _docker_files(directory: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    names = sorted(os.listdir(directory))
    ca = tuple(f"{directory}/{name}" for name in names if name.endswith(".crt"))
    client = tuple(
        (f"{directory}/{name}", f"{directory}/{name[:-5]}.key")
        for name in names
        if name.endswith(".cert")
    )
    return ca, client
