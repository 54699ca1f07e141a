"""What a network's row says, as the driver wants it: Docker's options by their names.

Options that no driver of ours knows are kept and shown, as Docker keeps them; a known one with a
value that cannot work is refused when the network is created.
"""

from __future__ import annotations

import functools
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from sampan.engine import network_info, pools
from sampan.kit import errors
from sampan.network import driver, overlay, policy

if TYPE_CHECKING:
    from sampan.engine.network_info import NetworkInfo
    from sampan.kit.paths import Paths

BRIDGE = "com.docker.network.bridge."
_MODES = {"4": f"{BRIDGE}gateway_mode_ipv4", "6": f"{BRIDGE}gateway_mode_ipv6"}
_INTERFACE = 15  # bytes of a link's name


@functools.lru_cache(network_info.KEPT)
def describe(paths: Paths, info: NetworkInfo) -> driver.Network:
    """Raises InvalidArgument naming the option."""
    spec = info.spec
    options: dict[str, str] = spec.get("options") or {}
    four, six = info.pool(4), info.pool(6)
    usual_mtu, vni = 0, 0
    peers: tuple[str, ...] = ()
    if info.driver == "overlay":
        usual_mtu, (vni, peers) = overlay.MTU, _overlay(spec, options, four)
    return driver.Network(
        id=info.id,
        name=info.name,
        driver=info.driver,
        subnet=str(four.subnet) if four else "",
        gateway=str(four.gateway or "") if four else "",
        subnet6=str(six.subnet) if six else "",
        gateway6=str(six.gateway or "") if six else "",
        bridge=_bridge(paths, info, options),
        internal=bool(spec.get("internal")) or options.get("macvlan_mode") == "internal",
        icc=_flag(options, f"{BRIDGE}enable_icc"),
        masquerade=_flag(options, f"{BRIDGE}enable_ip_masquerade"),
        mode=_mode(options, "4", internal=bool(spec.get("internal"))),
        mode6=_mode(options, "6", internal=bool(spec.get("internal"))),
        addressed=not _inhibited(options),
        mtu=_number(options, "com.docker.network.driver.mtu") or usual_mtu,
        vni=vni,
        local=_address(options, "local"),
        peers=peers,
        shared=bool(spec.get("shared")),
        bind_address=_address(options, f"{BRIDGE}host_binding_ipv4"),
        policy=policy.parse(options),
        conflist=options.get("conflist", ""),
        parent=options.get("parent", ""),
        parent_mode=options.get(f"{info.driver}_mode", ""),
    )


def interface_prefix(info: NetworkInfo) -> str:
    prefix = (info.spec.get("options") or {}).get("com.docker.network.container_iface_prefix")
    return prefix or "eth"


def _bridge(paths: Paths, info: NetworkInfo, options: dict[str, str]) -> str:
    if info.driver not in ("bridge", "overlay"):
        return ""
    usual = paths.bridge if info.name == "bridge" else f"smp-{info.id[:10]}"
    name = options.get(f"{BRIDGE}name") or usual
    if len(name.encode()) > _INTERFACE or "/" in name or name in (".", ".."):
        raise errors.InvalidArgument(
            f"{BRIDGE}name: {name!r} is no name of an interface (at most {_INTERFACE} bytes)"
        )
    return name


def _mode(options: dict[str, str], family: str, *, internal: bool) -> str:
    name = _MODES[family]
    mode = options.get(name) or "nat"
    if mode not in driver.GATEWAY_MODES:
        raise errors.InvalidArgument(
            f"unknown gateway mode {mode}: {name} must be one of {', '.join(driver.GATEWAY_MODES)}"
        )
    if mode == "isolated" and not internal:
        raise errors.InvalidArgument(
            "gateway mode 'isolated' can only be used for an internal network"
        )
    return mode


def no_gateway(kind: str, options: dict[str, str], *, internal: bool) -> set[int]:
    """The families in which nobody needs an address of the host's on the bridge."""
    if kind != "bridge":
        return set()
    found = {int(family) for family, name in _MODES.items() if options.get(name) == "isolated"}
    return found | ({4} if internal and _inhibited(options) else set())


def _inhibited(options: dict[str, str]) -> bool:
    name = f"{BRIDGE}inhibit_ipv4"
    return name in options and _flag(options, name)


def is_shared(kind: str, options: dict[str, str]) -> bool:
    """An overlay network that is told its peers is each host's own."""
    return kind == "overlay" and not {"peers", "local"} & options.keys()


def _overlay(
    spec: dict[str, Any], options: dict[str, str], pool: pools.Pool | None
) -> tuple[int, tuple[str, ...]]:
    """(VXLAN identifier, peers), and whether the rest can work."""
    if options.get("encrypted", "false") != "false":
        raise errors.InvalidArgument(
            "encrypted overlay networks are not supported: run the hosts over a VPN (WireGuard)"
        )
    if spec.get("shared"):
        return _vni(options.get(overlay.VNI, "1"), overlay.VNI), ()
    if pool is None or pool.part is None:
        raise errors.InvalidArgument(
            "an overlay network with peers needs --subnet, the same on all hosts, and --ip-range, "
            "another on each, so that no address is given twice"
        )
    if not options.get("local") or not options.get("peers"):
        raise errors.InvalidArgument(
            "an overlay network with peers needs -o local=ADDRESS of this host and "
            "-o peers=ADDRESS,… of the others"
        )
    vni = _vni(options.get("vni") or "", "vni")
    peers = [_address({"peers": one.strip()}, "peers") for one in options["peers"].split(",")]
    return vni, tuple(filter(None, peers))


def _vni(text: str, option: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 24:
        raise errors.InvalidArgument(
            f"{option} must be a number from 1 to {(1 << 24) - 1}, the same on all hosts, "
            f"not {text!r}"
        )
    return int(text)


def _flag(options: dict[str, str], name: str) -> bool:
    text = options.get(name, "true").lower()
    if text not in ("true", "false", "1", "0", "t", "f"):
        raise errors.InvalidArgument(f"{name} must be true or false, not {text!r}")
    return text in ("true", "1", "t")


def _number(options: dict[str, str], name: str) -> int:
    text = options.get(name) or "0"
    if not text.isdecimal() or int(text) > 65535:
        raise errors.InvalidArgument(f"{name} must be a number of bytes, not {text!r}")
    return int(text)


def _address(options: dict[str, str], name: str) -> str:
    text = options.get(name) or ""
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise errors.InvalidArgument(f"{name}: {text!r} is not an address") from None


def check_endpoint(settings: dict[str, Any]) -> None:
    """What a container asks for on a network but its addresses, before anything is made of it."""
    endpoint_options(settings)
    mac = settings.get("MacAddress") or ""
    if mac and not re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", mac):
        raise errors.InvalidArgument(
            f"invalid MAC address {mac}: it must be six bytes, like 02:42:ac:11:00:02"
        )


def endpoint_options(settings: dict[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(interface name or "", sysctls) from an endpoint's driver options."""
    options: dict[str, str] = settings.get("DriverOpts") or {}
    sysctls = []
    for item in filter(None, (options.get("com.docker.network.endpoint.sysctls") or "").split(",")):
        name, equals, value = item.partition("=")
        if not equals or ".IFNAME." not in name or not name.startswith("net."):
            raise errors.InvalidArgument(
                f"sysctl {item!r} of an endpoint must look like net.X.Y.IFNAME.Z=VALUE"
            )
        sysctls.append((name, value))
    interface = options.get("com.docker.network.endpoint.ifname") or ""
    if len(interface.encode()) > _INTERFACE or "/" in interface or interface == "lo":
        raise errors.InvalidArgument(f"{interface!r} is no name for a container's interface")
    return interface, tuple(sysctls)
