"""`sampan network doctor`."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network doctor",
    summary="Tell what is reachable from where, and what stands in the way",
    description="Looks at the engine's host and changes nothing: forwarding, our nft table,"
    " bridges and routes, other firewalls, published ports, names. Ends with 1 if something"
    " is wrong.",
    at_most=0,
    options=(option("-q --quiet", "bool", "Say only what is wrong"),),
    examples=(("sampan network doctor", "after a firewall was reloaded"),),
)


def run(session: Session, args: Arguments) -> int:
    findings = session.client.call("GET", "/sampan/networks/doctor")
    for finding in findings:
        if finding["level"] == "wrong" or not args["quiet"]:
            print(f"{finding['level']:<5}  {finding['about']}: {finding['text']}")
    return int(any(finding["level"] == "wrong" for finding in findings))
