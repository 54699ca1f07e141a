"""`sampan cp`: files between a container and here, as tar streams."""

from __future__ import annotations

import os
import sys

from sampan.cli import copying, units
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="cp",
    aliases=("container cp",),
    summary="Copy files between a container and here",
    description="One side is CONTAINER:PATH, the other a path here, or - for a tar archive on "
    "stdin or stdout. Directories are copied whole; PATH/. stands for what is in a directory.",
    operands="CONTAINER:SRC_PATH DEST_PATH|-  or  SRC_PATH|- CONTAINER:DEST_PATH",
    at_least=2,
    at_most=2,
    options=(
        option("-a --archive", "bool", "Keep owners and groups"),
        option("-L --follow-link", "bool", "Copy what a symbolic link points to"),
        option("-q --quiet", "bool", "Do not tell how much was copied"),
    ),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    (source_container, source), (target_container, target) = map(_side, args.operands)
    if source_container and target_container:
        raise args.fail("copying between containers is not supported", code=1)
    if not source_container and not target_container:
        raise args.fail("must specify at least one container source", code=1)
    follow, archive = args["follow-link"], args["archive"]
    if source_container:
        if target == "-" and os.isatty(1):
            raise args.fail("refusing to write a tar archive to a terminal", code=1)
        copy = copying.FromContainer(session.client, source_container, follow=follow)
        size = copy.run(source, target, archive=archive)
        where = target
    else:
        put = copying.ToContainer(session.client, target_container, follow=follow)
        size = put.run(source, target, archive=archive)
        where = f"{target_container}:{target}"
    if sys.stderr.isatty() and not args["quiet"] and target != "-":
        print(f"Successfully copied {units.size(size, 3)} to {where}", file=sys.stderr)


def _side(text: str) -> tuple[str, str]:
    """(container, path); the container is empty for a path here."""
    if text.startswith(("/", ".")):
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon and "/" not in container else ("", text)
