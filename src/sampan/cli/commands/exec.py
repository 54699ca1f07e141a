"""`sampan exec`: a further process in a running container."""

from __future__ import annotations

import sys

from sampan.cli import attach, detaching, terminal
from sampan.cli.common_options import DETACH_KEYS
from sampan.cli.options import Command, option
from sampan.cli.parse import env_file
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session
    from sampan.client import http

COMMAND = Command(
    name="exec",
    aliases=("container exec",),
    summary="Run a command in a running container",
    operands="CONTAINER COMMAND [ARG...]",
    at_least=2,
    options=(
        option("-d --detach", "bool", "Leave it running in the background"),
        DETACH_KEYS,
        option("-e --env", "env", "Set an environment variable, NAME=VALUE, or pass NAME on"),
        option("--env-file", "list", "Read environment variables from a file", completes="file"),
        option("-i --interactive", "bool", "Keep stdin open"),
        option("--privileged", "bool", "Grant it all capabilities"),
        option("-t --tty", "bool", "Give it a terminal"),
        option("-u --user", "string", "Run as this user, NAME|UID[:GROUP|GID]"),
        option("-w --workdir", "string", "Directory to run in"),
    ),
    interspersed=False,
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    body = _body(args)
    if body["Tty"] and body["AttachStdin"] and not terminal.is_terminal(0):
        raise args.fail("the input device is not a TTY", code=1)
    keys, text = detaching.keys(args["detach-keys"], session.config)
    body["DetachKeys"] = text
    name = args.operands[0]
    exec_id = session.client.call("POST", f"/containers/{name}/exec", None, body)["Id"]
    start = {"Detach": args["detach"], "Tty": body["Tty"]}
    if args["detach"]:
        session.client.call("POST", f"/exec/{exec_id}/start", None, start)
        return 0
    if body["Tty"]:
        start["ConsoleSize"] = list(terminal.size(1))
    stream = session.client.hijack(f"/exec/{exec_id}/start", None, start)
    return _follow(session, exec_id, stream, body, keys)


def _body(args: Arguments) -> dict[str, Any]:
    environment = []
    for path in args["env-file"]:
        try:
            environment += env_file.read(path)
        except ValueError as error:
            raise args.fail(str(error), code=1) from error
    environment += env_file.resolve(args["env"])
    attached = not args["detach"]
    return {
        "User": args["user"],
        "Privileged": args["privileged"],
        "Tty": args["tty"],
        "AttachStdin": attached and args["interactive"],
        "AttachStderr": attached,
        "AttachStdout": attached,
        "Detach": args["detach"],
        "DetachKeys": "",
        "Env": environment or None,
        "WorkingDir": args["workdir"],
        "Cmd": args.operands[1:],
    }


def _follow(
    session: Session, exec_id: str, stream: http.Hijacked, body: dict[str, Any], keys: bytes
) -> int:
    tty, stdin = body["Tty"], body["AttachStdin"]
    resize = attach.resizer(session.client, f"/exec/{exec_id}") if tty else None
    pump = attach.Pump(stream, tty=tty, stdin=stdin, detach_keys=keys if tty and stdin else b"")
    try:
        with attach.Signals(on_resize=resize) as signals, terminal.Raw(0 if tty and stdin else -1):
            if resize is not None:
                resize()
            if pump.run(signals):
                print("read escape sequence", file=sys.stderr)
                return 0
    except attach.Terminated as event:
        return 128 + event.number
    except errors.ApiError as error:
        print(f"Error response from daemon: {error}", file=sys.stderr)
        return 126
    return int(session.client.call("GET", f"/exec/{exec_id}/json")["ExitCode"] or 0)
