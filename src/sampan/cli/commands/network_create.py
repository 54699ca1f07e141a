"""`sampan network create`."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network create",
    summary="Create a network",
    operands="NETWORK",
    at_least=1,
    at_most=1,
    options=(
        option("--attachable", "bool", "Let containers be connected by hand"),
        option("--aux-address", "map", "Address that the driver itself uses, NAME=ADDRESS"),
        option("--config-from", "string", "Make it after this configuration", completes="network"),
        option("--config-only", "bool", "Keep this as a configuration for others"),
        option("-d --driver", "string", "Network driver", default="bridge"),
        option("--gateway", "commas", "Gateway of the subnet"),
        option("--ingress", "bool", "Carry a swarm's ingress (swarms alone)", hidden=True),
        option("--internal", "bool", "Let nothing in or out"),
        option("--ip-range", "commas", "Give out addresses of this part of the subnet"),
        option("--ipam-driver", "string", "Driver that gives out addresses", default="default"),
        option("--ipam-opt", "map", "Option of that driver, KEY=VALUE"),
        option("--ipv4", "bool", "Give out IPv4 addresses", default=True),
        option("--ipv6", "bool", "Give out IPv6 addresses"),
        option("--label", "label", "Set a label, KEY=VALUE"),
        option("-o --opt", "map", "Option of the driver, KEY=VALUE"),
        option("--scope", "string", "How far it reaches"),
        option("--subnet", "commas", "Subnet in CIDR form"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    body: dict[str, Any] = {
        "Driver": args["driver"],
        "Scope": args["scope"],
        "IPAM": {
            "Driver": args["ipam-driver"],
            "Options": args["ipam-opt"],
            "Config": _pools(args),
        },
        "Internal": args["internal"],
        "Attachable": args["attachable"],
        "Ingress": args["ingress"],
        "ConfigOnly": args["config-only"],
        "ConfigFrom": {"Network": args["config-from"]} if args["config-from"] else None,
        "Options": args["opt"],
        "Labels": dict(entry.partition("=")[::2] for entry in args["label"]),
        "Name": args.operands[0],
    }
    for option_name, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if args.given(option_name):
            body[field] = args[option_name]
    answer = session.client.call("POST", "/networks/create", None, body)
    print(answer["Id"])


def _pools(args: Arguments) -> list[dict[str, Any]]:
    """The subnets with what belongs to each, as `ipaddress` tells."""
    import ipaddress

    pools: dict[Any, dict[str, Any]] = {}
    for text in args["subnet"]:
        try:
            subnet = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return [{"Subnet": text}]  # the engine says what is wrong with it
        if any(subnet.version == other.version and subnet.overlaps(other) for other in pools):
            raise args.fail("multiple overlapping subnet configuration is not supported", code=1)
        pools[subnet] = {"Subnet": text}
    if not pools and (args["ip-range"] or args["gateway"]):
        raise args.fail("every ip-range or gateway must have a corresponding subnet", code=1)
    items = [("IPRange", text, text) for text in args["ip-range"]]
    items += [("Gateway", text, text) for text in args["gateway"]]
    items += [(f"aux {name}", text, text) for name, text in args["aux-address"].items()]
    for key, text, _ in items:
        pool = _pool_of(args, pools, text, _WORDS.get(key, "aux-address"))
        if key.startswith("aux "):
            pool.setdefault("AuxiliaryAddresses", {})[key[4:]] = text
        elif key in pool:
            raise args.fail(f"cannot give a subnet a second {key}: {text}", code=1)
        else:
            pool[key] = text
    return list(pools.values())


_WORDS = {"IPRange": "range", "Gateway": "gateway"}


def _pool_of(
    args: Arguments, pools: dict[Any, dict[str, Any]], text: str, what: str
) -> dict[str, Any]:
    import ipaddress

    try:
        address = ipaddress.ip_network(text, strict=False).network_address
    except ValueError:
        raise args.fail(f"invalid address {text}", code=1) from None
    for subnet, pool in pools.items():
        if address in subnet:
            return pool
    raise args.fail(f"no matching subnet for {what} {text}", code=1)
