"""What stands in a container's /etc/hosts, /etc/resolv.conf and /etc/hostname, as pure functions.

hosts(5), resolv.conf(5), hostname(5).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FALLBACK = ("8.8.8.8", "8.8.4.4")  # Docker's, where the host names only loopback resolvers
EMBEDDED = "127.0.0.11"

_LOCAL = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def hosts(
    own: Iterable[tuple[str, Sequence[str]]] = (),
    extra: Iterable[tuple[str, str]] = (),
    *,
    first: str = "",
) -> str:
    """`own`: (address, names) of each endpoint; `extra`: (name, address) of --add-host; `first`:
    what the file begins with, where not with the usual names of the loopback."""
    lines = [f"{address}\t{name}\n" for name, address in extra]
    lines += [f"{address}\t{' '.join(names)}\n" for address, names in own if address]
    return (first or _LOCAL) + "".join(lines)


def hostname(name: str) -> str:
    return name + "\n"


def nameservers(host: str, *, loopback: bool = False) -> tuple[str, ...]:
    """The servers in the host's resolv.conf, without those that only the host itself can reach.

    With `loopback` those as well: the embedded server asks from the host.
    """
    found = []
    for words in map(str.split, host.splitlines()):
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ip_address(words[1].partition("%")[0])
        except ValueError:
            continue
        local = address.is_loopback or (address.version == 6 and address.is_link_local)
        if loopback or not local:
            found.append(words[1])
    return tuple(found)


def resolv_conf(
    host: str,
    *,
    dns: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    embedded: bool = False,
    ipv6: bool = False,
) -> str:
    """The host's text with --dns, --dns-search and --dns-option over it.

    A container without IPv6 gets no IPv6 servers. `embedded`: user-defined networks, whose
    containers ask only 127.0.0.11. A `search` of "." means none at all.
    """
    words = [line.split() for line in host.splitlines()]
    servers: Sequence[str] = dns or upstreams(host, ipv6=ipv6)
    domains = search or next(
        (w[1:] for w in reversed(words) if w[:1] in (["search"], ["domain"])), ()
    )
    flags = list(options) or [o for w in words if w[:1] == ["options"] for o in w[1:]]
    if embedded:
        servers = [EMBEDDED]
        flags = [o for o in flags if not o.startswith("ndots:") or o in options]
        flags += [] if any(o.startswith("ndots:") for o in flags) else ["ndots:0"]
    text = "".join(f"nameserver {server}\n" for server in servers)
    if domains and list(domains) != ["."]:
        text += f"search {' '.join(domains)}\n"
    if flags:
        text += f"options {' '.join(flags)}\n"
    return text


def upstreams(host: str, *, ipv6: bool = True) -> tuple[str, ...]:
    """Where a query goes that we cannot answer: the host's servers, or `FALLBACK`."""
    found = tuple(s for s in nameservers(host) if ipv6 or ":" not in s)
    return found or FALLBACK
