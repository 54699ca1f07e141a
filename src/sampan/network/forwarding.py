"""The host as a router: the switches that let packets pass between interfaces.

They are switched on when a network needs them, and the caller remembers which ones it was. IPv6's
switch has a side effect: a host that forwards takes no router advertisements (RFC 4861, 6.2.2), so
interfaces that live by them are told to go on (`accept_ra` 2, the kernel's ip-sysctl document).
"""

from __future__ import annotations

import os

from sampan.linux import sysctl
from sampan.network import errors

_SWITCHES = {"4": "net/ipv4/ip_forward", "6": "net/ipv6/conf/all/forwarding"}
_INTERFACES = "net/ipv6/conf"


def is_on(family: str) -> bool:
    """Also where the kernel has no such family: then there is nothing to switch."""
    return sysctl.read(_SWITCHES[family]) != "0"


def switch(family: str, *, on: bool) -> None:
    """`family`: "4" or "6"."""
    name = _SWITCHES[family]
    try:
        if on and family == "6":
            _keep_listening()
        sysctl.write(name, "1" if on else "0")
    except OSError as e:
        raise errors.NetworkUnavailable(
            f"cannot set /proc/sys/{name} to {'1' if on else '0'}: {e.strerror}"
        ) from e


def _keep_listening() -> None:
    for interface in os.listdir(f"/proc/sys/{_INTERFACES}"):
        name = f"{_INTERFACES}/{interface}/accept_ra"
        if interface not in ("all", "default", "lo") and sysctl.read(name) == "1":
            sysctl.write(name, "2")
