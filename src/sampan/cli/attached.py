"""Our streams on a container: `attach`, `start -a`, and what `run` does once it has started one."""

from __future__ import annotations

import sys

from sampan.cli import attach, detaching, terminal
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sampan.cli.session import Session
    from sampan.client import http


def follow(
    session: Session,
    found: dict[str, Any],
    *,
    stdin: bool,
    proxy: bool,
    keys: str,
    start: Mapping[str, str | None] | None = None,
) -> int:
    """Our streams on the container `found` (its inspection) until it ends: its exit code.

    `start`: it is to be started, with this query.
    """
    client, path, tty = session.client, f"/containers/{found['Id']}", found["Config"]["Tty"]
    if tty and stdin and not terminal.is_terminal(0):
        raise errors.BadRequest("the input device is not a TTY")
    sequence, text = detaching.keys(keys, session.config)
    query = {"stream": True, "stdin": stdin or None, "stdout": True, "stderr": True,
             "detachKeys": text or None}  # fmt: skip
    stream = client.hijack(f"{path}/attach", query)
    starting = start is not None
    removed = starting and found["HostConfig"].get("AutoRemove")
    condition = "removed" if removed else "next-exit" if starting else "not-running"
    waiting = client.stream("POST", f"{path}/wait", {"condition": condition})
    if starting:
        client.call("POST", f"{path}/start", start)
    return until_end(
        session, found["Id"], stream, waiting, tty=tty, stdin=stdin, keys=sequence, proxy=proxy
    )


def until_end(
    session: Session,
    container_id: str,
    stream: http.Hijacked | None,
    waiting: http.Response,
    *,
    tty: bool,
    stdin: bool,
    keys: bytes,
    proxy: bool,
    stdout: bool = True,
    stderr: bool = True,
) -> int:
    """Our streams on a started container: its exit code, 0 where the user detached.

    `stream`: the attached connection, or None for no stream at all; `waiting`: the answer to
    `/wait`, which comes when it has ended; `proxy`: signals that we get are passed on.
    """
    client = session.client
    resize = attach.resizer(client, f"/containers/{container_id}") if tty else None
    kill = attach.killer(client, container_id) if proxy and not tty else None
    keys = keys if tty and stdin else b""
    try:
        with attach.Signals(on_signal=kill, on_resize=resize) as signals:
            if stream is not None:
                pump = attach.Pump(
                    stream, tty=tty, stdin=stdin, detach_keys=keys, stdout=stdout, stderr=stderr
                )
                with terminal.Raw(0 if tty and stdin else -1):
                    if resize is not None:
                        resize()
                    detached = pump.run(signals)
                if detached:
                    print("read escape sequence", file=sys.stderr)
                    return 0
            if not waiting.pending:
                attach.wait_readable(waiting.fileno(), signals)
    except attach.Terminated as event:
        return 128 + event.number
    return _exit_code(waiting.read())


def _exit_code(answer: bytes) -> int:
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
