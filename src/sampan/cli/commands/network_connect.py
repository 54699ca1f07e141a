"""`sampan network connect`."""

from __future__ import annotations

from sampan.cli import endpoint_body
from sampan.cli.options import Command, option
from sampan.cli.parse import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network connect",
    summary="Connect a container to a network",
    operands="NETWORK CONTAINER",
    at_least=2,
    at_most=2,
    options=(
        option("--alias", "commas", "Further name in the network"),
        option("--driver-opt", "map", "Option of the driver, KEY=VALUE"),
        option("--gw-priority", "int", "The highest gives the default gateway"),
        option("--ip", "string", "IPv4 address in the network"),
        option("--ip6", "string", "IPv6 address in the network"),
        option("--link", "list", "Link to another container, NAME[:ALIAS]"),
        option("--link-local-ip", "commas", "Link-local address in the network"),
    ),
    completes="network",
)


def run(session: Session, args: Arguments) -> None:
    network, container = args.operands
    attachment = networks.Attachment(
        name=network,
        aliases=tuple(args["alias"]),
        ip=args["ip"],
        ip6=args["ip6"],
        link_local=tuple(args["link-local-ip"]),
        driver_options=tuple(args["driver-opt"].items()),
        priority=args["gw-priority"],
    )
    body = {
        "Container": container,
        "EndpointConfig": {
            **endpoint_body.endpoint(attachment, links=args["link"]),
            "IPAMConfig": endpoint_body.address_config(attachment),
            "Aliases": args["alias"],
            "DriverOpts": args["driver-opt"],
        },
    }
    session.client.call("POST", f"/networks/{network}/connect", None, body)
