"""`--init`: PID 1 stays this small program, the command is its child.

It forwards every signal it may forward, buries orphans, and leaves as the command left: with its
exit code, or 128 and the signal that killed it.
"""

from __future__ import annotations

import os

from sampan.linux import process, pty, signals
from sampan.linux.signals import SIGCHLD, SIGTTIN, SIGTTOU
from sampan.runtime import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sampan.runtime.channel import Channel


def run(path: str, args: tuple[str, ...], env: dict[str, str], channel: Channel) -> NoReturn:
    """Start the command; returns in the child only by an exception, never in PID 1."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        os.close(ready)
        signals.reset()
        command.execute(path, args, env)
    os.setpgid(child, child)
    _give_terminal(child)
    os.close(ready)
    os.close(go)
    channel.close()  # the child's copy closes at its execve; that is what the caller waits for
    process.close_from(3)
    _serve(child)


def _give_terminal(child: int) -> None:
    """Job control needs the command's own group in front of the terminal."""
    try:
        pty.size(0)
        os.tcsetpgrp(0, child)
    except OSError:  # no terminal
        pass


def _serve(child: int) -> NoReturn:
    while True:
        number, _sender = signals.wait()
        if number == SIGCHLD:
            _bury(child)
        elif number not in (SIGTTIN, SIGTTOU):
            try:
                os.kill(child, number)
            except ProcessLookupError:
                pass


def _bury(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
