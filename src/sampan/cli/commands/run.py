"""`sampan run`: create, attach, wait, start; in this order, so that nothing can be missed.

The attach and the wait are both answered by the engine before the start is sent: no output and
no exit code of a container that lives a millisecond gets lost.
"""

from __future__ import annotations

import sys

from sampan.cli import attached, create_body, creating, detaching, terminal
from sampan.cli.container_options import CONTAINER_OPTIONS
from sampan.cli.options import Command, option
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="run",
    aliases=("container run",),
    summary="Create and start a container",
    description="The image is pulled where it is missing. Without -d the exit code is the "
    "container's: 125 where the engine refused, 126 where the command could not be executed, "
    "127 where there is no such command.",
    operands="IMAGE [COMMAND] [ARG...]",
    at_least=1,
    options=(
        *CONTAINER_OPTIONS,
        option("-d --detach", "bool", "Leave it running and print its ID"),
        option("--sig-proxy", "bool", "Pass signals on to the container", default=True),
    ),
    interspersed=False,
    completes="image",
    examples=(
        ("sampan run --rm -it debian:12 bash", "a shell that leaves nothing behind"),
        (
            "sampan run -d --name web -p 8080:80 -v .:/usr/share/nginx/html nginx:1.25",
            "the files of this directory at http://localhost:8080",
        ),
    ),
)


def run(session: Session, args: Arguments) -> int:
    body = _body(args)
    try:
        container_id = creating.create(session, args, body)
    except errors.ApiError as error:
        return _refused(error, 125)
    if args["detach"]:
        return _start_detached(session, container_id)
    return _foreground(session, args, body, container_id)


def _body(args: Arguments) -> dict[str, Any]:
    if args["detach"] and args["attach"]:
        message = "conflicting options: cannot specify both --attach and --detach"
        raise args.fail(message, code=1)
    body = create_body.build(args)
    if body["Tty"] and body["AttachStdin"] and not terminal.is_terminal(0):
        raise args.fail("the input device is not a TTY", code=1)
    if body["Tty"]:
        body["HostConfig"]["ConsoleSize"] = list(terminal.size(1))
    return body


def _refused(error: errors.ApiError, code: int) -> int:
    hint = "Run 'sampan run --help' for more information"
    lines = [f"sampan: Error response from daemon: {error}", "", hint]
    print("\n".join(lines), file=sys.stderr)
    return code


def start_code(error: errors.ApiError) -> int:
    """Docker's exit code for a start that failed, which the message alone tells."""
    text = str(error)
    if "executable file not found" in text or "no such file or directory" in text:
        return 127
    if "permission denied" in text or "is a directory" in text:
        return 126
    return 125


def _start_detached(session: Session, container_id: str) -> int:
    try:
        session.client.call("POST", f"/containers/{container_id}/start")
    except errors.ApiError as error:
        return _refused(error, start_code(error))
    print(container_id)
    return 0


def _foreground(session: Session, args: Arguments, body: dict[str, Any], container_id: str) -> int:
    """A container whose streams are ours."""
    client, path = session.client, f"/containers/{container_id}"
    keys, text = detaching.keys(args["detach-keys"], session.config)
    streams = {name: body[f"Attach{name.capitalize()}"] for name in ("stdin", "stdout", "stderr")}
    stream = None
    if any(streams.values()):
        query = {"stream": True, "detachKeys": text or None, **streams}
        stream = client.hijack(f"{path}/attach", query)
    condition = "removed" if args["rm"] else "next-exit"
    waiting = client.stream("POST", f"{path}/wait", {"condition": condition})
    try:
        client.call("POST", f"{path}/start")
    except errors.ApiError as error:
        if stream is not None:
            stream.close()
        if args["rm"]:
            waiting.read()  # until the engine has removed it
        return _refused(error, start_code(error))
    if stream is None:
        print(container_id)
    return attached.until_end(
        session, container_id, stream, waiting, tty=body["Tty"], keys=keys,
        proxy=args["sig-proxy"], **streams,
    )  # fmt: skip
