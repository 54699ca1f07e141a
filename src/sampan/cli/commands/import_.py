"""`sampan import`: an image from a tar archive of a file system."""

from __future__ import annotations

from sampan.cli import output, progress, pulling
from sampan.cli.common_options import CHANGE, PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="import",
    aliases=("image import",),
    summary="Make an image of a file system's tar archive",
    operands="FILE|URL|- [REPOSITORY[:TAG]]",
    at_least=1,
    at_most=2,
    options=(CHANGE, option("-m --message", "string", "What it is"), PLATFORM),
    completes="file",
)


def run(session: Session, args: Arguments) -> None:
    source, *reference = args.operands
    repository, tag = pulling.split(reference[0]) if reference else ("", "")
    remote = source.startswith(("http://", "https://"))
    query = {
        "fromSrc": source if remote else "-",
        "repo": repository or None,
        "tag": tag or None,
        "message": args["message"] or None,
        "changes": args["change"],
        "platform": args["platform"] or None,
    }
    if remote:
        response = session.client.stream("POST", "/images/create", query)
        progress.show(session.client.messages(response))
        return
    with output.source("" if source == "-" else source) as pieces:
        response = session.client.stream("POST", "/images/create", query, pieces)
        progress.show(session.client.messages(response))
