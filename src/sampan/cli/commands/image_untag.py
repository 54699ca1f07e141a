"""`sampan image untag`: take names away from images, which stay."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image untag",
    summary="Take names away from images; the images stay",
    operands="NAME[:TAG] [NAME[:TAG]...]",
    at_least=1,
    completes="image",
)


def run(session: Session, args: Arguments) -> int:
    def untag(name: str) -> str:
        removed = session.client.call("POST", f"/sampan/images/{name}/untag") or []
        return "\n".join(f"Untagged: {item['Untagged']}" for item in removed)

    return each(args.operands, untag)
