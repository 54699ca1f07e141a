"""`sampan network policy`."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.common_options import FORMAT
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network policy",
    summary="Show what a container's network policy has let through and refused",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    description="A line for each rule of its allow lists (labels and network options"
    " sampan.network.egress and .ingress), and one for what was refused. Hits are connections, or"
    " datagrams to somebody new; they begin at 0 when the container starts or its networks change.",
    options=(FORMAT,),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    lists = session.client.call("GET", f"/sampan/networks/policy/{args.operands[0]}")
    found: list[dict[str, Any]] = []
    for one in lists:
        where = {"list": one["side"], "interface": one["interface"] or "all"}
        found += [{**where, **rule} for rule in one["rules"]]
        found.append({**where, **one["refused"], "rule": "(refused)"})
    fields = {
        "List": ("LIST", lambda hit: hit["list"]),
        "Interface": ("INTERFACE", lambda hit: hit["interface"]),
        "Rule": ("RULE", lambda hit: hit["rule"]),
        "Hits": ("HITS", lambda hit: str(hit["packets"])),
        "Bytes": ("BYTES", lambda hit: units.size(hit["bytes"])),
        "Addresses": ("ADDRESSES", lambda hit: ", ".join(hit["addresses"])),
    }
    listing.show(found, fields, tuple(fields), args["format"])
