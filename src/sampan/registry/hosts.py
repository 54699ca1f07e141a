"""Where a registry's name leads: hosts, protocols, mirrors.

`/etc/sampan/certs.d/NAME/hosts.toml` as containerd's: `server`, and `[host."https://mirror"]`
tables with `capabilities`, `skip_verify`, `ca`. Without it docker.io is registry-1.docker.io,
loopback names are tried with TLS first and plain HTTP then, everything else is TLS.
"""

from __future__ import annotations

import ipaddress
import os

from sampan.kit import errors
from sampan.kit.record import Record

DIRECTORY = "/etc/sampan/certs.d"


class Host(Record):
    url: str  # "https://registry-1.docker.io"
    skip_verify: bool = False
    ca: str = ""
    push: bool = True


def hosts_of(domain: str, directory: str | None = None) -> list[Host]:
    """The hosts to try, in order."""
    directory = directory or os.environ.get("SAMPAN_CERTS", DIRECTORY)
    for name in (domain, "_default"):
        path = os.path.join(directory, name, "hosts.toml")
        if os.path.exists(path):
            return _configured(path, domain)
    return _usual(domain)


def _usual(domain: str) -> list[Host]:
    if domain == "docker.io":
        return [Host(url="https://registry-1.docker.io")]
    if is_loopback(domain):
        return [Host(url=f"https://{domain}", skip_verify=True), Host(url=f"http://{domain}")]
    return [Host(url=f"https://{domain}")]


def is_loopback(domain: str) -> bool:
    """127.0.0.0/8, ::1 and localhost, whatever the port."""
    name = domain.rpartition(":")[0] if ":" in domain and not domain.endswith("]") else domain
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _configured(path: str, domain: str) -> list[Host]:
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise errors.InvalidArgument(f"{path}: {error}") from error
    found = []
    for url, settings in (document.get("host") or {}).items():
        capabilities = settings.get("capabilities", ["pull", "resolve"])
        found.append(
            Host(
                url=url.rstrip("/"),
                skip_verify=bool(settings.get("skip_verify")),
                ca=str(settings.get("ca") or ""),
                push="push" in capabilities,
            )
        )
    if server := document.get("server"):
        found.append(Host(url=server.rstrip("/")))
    return found or _usual(domain)
