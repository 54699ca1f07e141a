"""Attach to a container that exists: `attach`, and `start -a`."""

from __future__ import annotations

import sys

from sampan.cli import attach, terminal
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sampan.cli.session import Session


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
    sequence, text = attach.keys(keys, session.config)
    query = {"stream": True, "stdin": stdin or None, "stdout": True, "stderr": True,
             "detachKeys": text or None}  # fmt: skip
    stream = client.hijack(f"{path}/attach", query)
    starting = start is not None
    removed = starting and found["HostConfig"].get("AutoRemove")
    condition = "removed" if removed else "next-exit" if starting else "not-running"
    waiting = client.stream("POST", f"{path}/wait", {"condition": condition})
    if starting:
        client.call("POST", f"{path}/start", start)
    resize = attach.resizer(client, path) if tty else None
    kill = attach.killer(client, found["Id"]) if proxy and not tty else None
    pump = attach.Pump(stream, tty=tty, stdin=stdin, detach_keys=sequence if tty and stdin else b"")
    try:
        with attach.Signals(on_signal=kill, on_resize=resize) as signals:
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
    from sampan.cli.commands.run import exit_code

    return exit_code(waiting.read())
