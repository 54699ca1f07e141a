"""`sampan build lint`: what in a Dockerfile works but should not be written so."""

from __future__ import annotations

import os
import sys

from sampan.cli import building, linting
from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="build lint",
    summary="Check a Dockerfile without building it",
    description="Nothing is pulled and no engine is asked: what depends on a base image"
    " is left out (`sampan build --check` sees the images that are there). The rules are"
    " BuildKit's; `# check=skip=RULE` in the Dockerfile leaves one out. Exits with 1"
    " if something was found.",
    operands="[PATH]",
    at_most=1,
    options=(
        option("--build-arg", "list", "Set an ARG, NAME=VALUE; NAME takes it from here"),
        option("-f --file", "string", "The Dockerfile (PATH/Dockerfile)", completes="file"),
        PLATFORM,
        option("--target", "string", "Look at what this stage needs"),
    ),
    completes="dir",
    examples=(("sampan build lint .", "Check the Dockerfile of this directory."),),
)


def run(_session: Session, args: Arguments) -> int:
    given = building.pairs(args["build-arg"], os.environ)
    return linting.check(
        args.operands[0] if args.operands else ".",
        args["file"] or "",
        sys.stdout,
        args={name: value for name, value in given.items() if value is not None},
        target=args["target"],
        platform=args["platform"] or "",
    )
