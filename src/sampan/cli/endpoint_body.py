"""Where it is connected: the endpoints of `create_body` and of `network connect`."""

from __future__ import annotations

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments

    Body = dict[str, Any]

PREDEFINED = frozenset(("bridge", "host", "none", "default"))


def network_mode(args: Arguments) -> str:
    networks = args["network"]
    return networks[0].name if networks else "default"


def build(args: Arguments) -> dict[str, Body]:
    """An endpoint for each network; the plain options belong to the first."""
    from sampan.cli.parse import networks

    attachments = list(args["network"]) or [networks.Attachment(name="default")]
    names = [attachment.name for attachment in attachments]
    if len(names) > 1 and any(n in PREDEFINED - {"bridge"} or ":" in n for n in names):
        raise args.fail("conflicting options: cannot attach both user-defined and non-user-defined"
                        " network-modes")  # fmt: skip
    try:
        attachments[0] = _with_plain_options(args, attachments[0])
    except errors.InvalidArgument as error:
        raise args.fail(str(error)) from error
    if attachments == [networks.Attachment(name=names[0])] and _is_mode(names[0]):
        return {}
    endpoints: dict[str, Body] = {}
    for index, attachment in enumerate(attachments):
        if attachment.name in endpoints:
            message = f'network "{attachment.name}" is specified multiple times'
            raise args.fail(message)
        endpoints[attachment.name] = endpoint(attachment, links=args["link"] if not index else [])
    return endpoints


def _is_mode(name: str) -> bool:
    """A mode of having no network of one's own, rather than a network."""
    return name in ("bridge", "host", "none") or name.startswith("container:")


def _with_plain_options(args: Arguments, first: Any) -> Any:
    """`--network-alias`, `--ip`, … folded into the first network."""
    plain = {
        "aliases": (first.aliases, tuple(args["network-alias"]), "network-alias"),
        "ip": (first.ip, args["ip"], "ip"),
        "ip6": (first.ip6, args["ip6"], "ip6"),
        "link_local": (first.link_local, tuple(args["link-local-ip"]), "link-local-ip"),
        "mac_address": (first.mac_address, args["mac-address"], "mac-address"),
    }
    changes = {}
    for field, (in_network, alone, flag) in plain.items():
        if in_network and alone:
            raise errors.InvalidArgument(
                f"conflicting options: cannot specify both --{flag} and per-network {flag}"
            )
        if alone:
            changes[field] = alone
    if changes.get("aliases") and (first.name in PREDEFINED or ":" in first.name):
        raise errors.InvalidArgument(
            "network-scoped aliases are only supported for user-defined networks"
        )
    return first.replace(**changes)


def address_config(attachment: Any) -> Body:
    """The addresses that were asked for, as an EndpointIPAMConfig."""
    ipam: Body = {}
    if attachment.ip:
        ipam["IPv4Address"] = attachment.ip
    if attachment.ip6:
        ipam["IPv6Address"] = attachment.ip6
    if attachment.link_local:
        ipam["LinkLocalIPs"] = list(attachment.link_local)
    return ipam


def endpoint(attachment: Any, *, links: list[str]) -> Body:
    """An EndpointSettings, with the fields that Go writes out even when they are empty."""
    user_defined = attachment.name not in PREDEFINED and ":" not in attachment.name
    return {
        "IPAMConfig": address_config(attachment) or None,
        "Links": links or None if user_defined else None,
        "Aliases": list(attachment.aliases) or None,
        "MacAddress": attachment.mac_address,
        "DriverOpts": dict(attachment.driver_options) or None,
        "GwPriority": attachment.priority,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
