"""Pull an image over the API: for `pull`, and for `run` and `create` when it is missing."""

from __future__ import annotations

import sys

from sampan.cli import config_file, progress
from sampan.cli.common_options import ALL_PLATFORMS, PLATFORM
from sampan.cli.options import option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

DEFAULT_TAG = "latest"
OPTIONS = (  # what `pull` and `push` share, beside --all-tags
    option("--disable-content-trust", "bool", "Accepted, without effect", default=True,
           hidden=True),
    ALL_PLATFORMS,
    PLATFORM,
    option("-q --quiet", "bool", "Show no progress"),
)  # fmt: skip


def chosen(args: Arguments) -> tuple[str, str]:
    """(name, tag) of the operand of `pull` and `push`: the default tag is said; "" for all."""
    check(args.operands[0])
    name, tag = split(args.operands[0])
    if args["all-tags"] and tag:
        raise args.fail("tag can't be used with --all-tags/-a", code=1)
    if not tag and not args["all-tags"]:
        tag = DEFAULT_TAG
        if not args["quiet"]:
            print(f"Using default tag: {tag}", flush=True)
    return name, tag


def check(name: str) -> None:
    """Refuse what is no image's name, in Docker's words. Raises InvalidArgument."""
    from sampan.spec import reference

    reference.parse(name)


def split(reference: str) -> tuple[str, str]:
    """(name, tag or digest); the second is empty where the reference has none."""
    name, at, digest = reference.partition("@")
    if at:
        return name, digest
    head, colon, tag = reference.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (reference, "")


def full_name(reference: str) -> str:
    """The reference with its registry, as Docker prints it after a pull."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def pull(
    session: Session,
    reference: str,
    *,
    platform: str = "",
    quiet: bool = False,
    every_tag: bool = False,
    every_platform: bool = False,
    lazily: bool = False,
    out: TextIO | None = None,
) -> None:
    """Raises ApiError (also for what goes wrong half-way)."""
    name, tag = split(reference)
    query = {
        "fromImage": name,
        "tag": None if every_tag else tag or DEFAULT_TAG,
        "platform": platform or None,
        "all-platforms": every_platform or None,
        "lazy": lazily or None,
    }
    headers = config_file.registry_auth(session.config, reference)
    response = session.client.stream("POST", "/images/create", query, None, headers)
    messages = session.client.messages(response)
    if quiet:
        progress.drain(messages)
    else:
        progress.show(messages, out=out or sys.stdout)
