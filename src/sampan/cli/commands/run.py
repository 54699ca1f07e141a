"""`sampan run`: create, attach, wait, start; in this order, so that nothing can be missed.

The attach and the wait are both answered by the engine before the start is sent: no output and
no exit code of a container that lives a millisecond gets lost.
"""

from __future__ import annotations

import sys

from sampan.cli import attach, create_body, creating, terminal
from sampan.cli.container_options import CONTAINER_OPTIONS
from sampan.cli.options import Command, option
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session
    from sampan.client import http

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
    return _Foreground(session, args, body, container_id).run()


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
    lines = [f"sampan: Error response from daemon: {error}", "", "See 'sampan run --help'."]
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


class _Foreground:
    """A container whose streams are ours."""

    def __init__(
        self, session: Session, args: Arguments, body: dict[str, Any], container_id: str
    ) -> None:
        self._client = session.client
        self._args = args
        self._body = body
        self._id = container_id
        self._path = f"/containers/{container_id}"
        self._keys, self._keys_text = attach.keys(args["detach-keys"], session.config)

    def run(self) -> int:
        streams = {
            name: self._body[f"Attach{name.capitalize()}"] for name in ("stdin", "stdout", "stderr")
        }
        stream = self._attach(streams) if any(streams.values()) else None
        condition = "removed" if self._args["rm"] else "next-exit"
        waiting = self._client.stream("POST", f"{self._path}/wait", {"condition": condition})
        try:
            self._client.call("POST", f"{self._path}/start")
        except errors.ApiError as error:
            if stream is not None:
                stream.close()
            if self._args["rm"]:
                waiting.read()  # until the engine has removed it
            return _refused(error, start_code(error))
        if stream is None:
            print(self._id)
        return self._follow(stream, streams, waiting)

    def _attach(self, streams: dict[str, bool]) -> http.Hijacked:
        query = {"stream": True, "detachKeys": self._keys_text or None, **streams}
        return self._client.hijack(f"{self._path}/attach", query)

    def _follow(
        self, stream: http.Hijacked | None, streams: dict[str, bool], waiting: http.Response
    ) -> int:
        tty = self._body["Tty"]
        resize = attach.resizer(self._client, self._path) if tty else None
        proxy = self._args["sig-proxy"] and not tty
        kill = attach.killer(self._client, self._id) if proxy else None
        try:
            with attach.Signals(on_signal=kill, on_resize=resize) as signals:
                if stream is not None and self._pump(stream, streams, signals, resize):
                    print("read escape sequence", file=sys.stderr)
                    return 0
                if not waiting.pending:
                    attach.wait_readable(waiting.fileno(), signals)
        except attach.Terminated as event:
            return 128 + event.number
        return exit_code(waiting.read())

    def _pump(
        self, stream: http.Hijacked, streams: dict[str, bool], signals: attach.Signals, resize: Any
    ) -> bool:
        tty, stdin = self._body["Tty"], streams["stdin"]
        pump = attach.Pump(
            stream,
            tty=tty,
            stdin=stdin,
            detach_keys=self._keys if tty and stdin else b"",
            stdout=streams["stdout"],
            stderr=streams["stderr"],
        )
        if not tty:
            return pump.run(signals)
        if not stdin:
            resize()
            return pump.run(signals)
        with terminal.Raw():
            resize()
            return pump.run(signals)


def exit_code(answer: bytes) -> int:
    """What `/wait` says; 125 where the engine could not tell."""
    from sampan.client import wirejson

    try:
        result = wirejson.loads(answer)
    except ValueError:
        print("the engine went away before the container ended", file=sys.stderr)
        return 125
    failure = (result.get("Error") or {}).get("Message")
    if failure:
        print(f"sampan: {failure}", file=sys.stderr)
        return 125
    return int(result["StatusCode"])
