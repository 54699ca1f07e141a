"""Which proxy the environment names for an address."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit


def proxy_for(url: str) -> str | None:
    """What http_proxy, https_proxy and no_proxy say; loopback is never sent through a proxy."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return None
    proxies = urllib.request.getproxies_environment()
    proxy = proxies.get(parts.scheme)
    if not proxy or _bypassed(host, parts.netloc, proxies.get("no", "")):
        return None
    return proxy


def _bypassed(host: str, netloc: str, no_proxy: str) -> bool:
    """curl's reading of no_proxy: `*`, hosts, domains with all below them, networks (CIDR)."""
    for item in filter(None, map(str.strip, no_proxy.lower().split(","))):
        if item == "*" or item.strip("[]") == host or item == netloc.lower():
            return True
        if host.endswith("." + item.lstrip(".")) or _within(host, item):
            return True
    return False


def _within(host: str, network: str) -> bool:
    """Is the host an address of the network? No name is looked up for that."""
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, False)
    except ValueError:
        return False
