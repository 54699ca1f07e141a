"""`sampan trust`: what is not there, and what is instead."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="trust",
    summary="Tell that there is no content trust",
    description="Docker Content Trust, with Notary's servers, is not built in. Name images by"
    " digest (NAME@sha256:…), which every pull checks. Docker's commands are taken with any words"
    " and end with that answer and exit code 1.",
    operands="[ARG...]",
    verbatim=True,
)


def run(session: Session, args: Arguments) -> None:
    raise errors.Unsupported(
        "there is no content trust (Notary) here; name images by digest, which every pull checks"
    )
