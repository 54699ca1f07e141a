"""`sampan volume snapshot`."""

from __future__ import annotations

from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume snapshot",
    summary="Keep the files of a volume as they are now, in a new volume",
    description="Like volume clone; the name is the volume's with the time, unless it is"
    " given, and the label sampan.snapshot.of names the volume.",
    operands="VOLUME [NAME]",
    at_least=1,
    at_most=2,
    completes="volume",
    examples=(("sampan volume snapshot data", "before an upgrade"),),
)


def run(session: Session, args: Arguments) -> None:
    source, *name = args.operands
    query = {"to": name[0] if name else None}
    print(session.client.call("POST", f"/sampan/volumes/{source}/snapshot", query)["Name"])
