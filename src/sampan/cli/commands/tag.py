"""`sampan tag`: another name for an image."""

from __future__ import annotations

from sampan.cli import pulling
from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="tag",
    aliases=("image tag",),
    summary="Give an image a further name",
    operands="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    at_least=2,
    at_most=2,
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    source, target = args.operands
    try:
        pulling.check(target)
    except errors.InvalidArgument as error:
        what = f'Error parsing reference: "{target}" is not a valid repository/tag'
        raise errors.within(what, error) from error
    repository, tag = pulling.split(target)
    if "@" in target:
        raise args.fail("refusing to create a tag with a digest reference", code=1)
    query = {"repo": repository, "tag": tag or "latest"}
    session.client.call("POST", f"/images/{source}/tag", query)
