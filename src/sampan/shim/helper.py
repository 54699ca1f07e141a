"""Work in a forked child of the monitor: what it touches, and what it waits for, is its own.

Making a process runs much code once. Done in the monitor itself, every page of the spawner's
memory with one of its objects would be copied there and stay for the container's life; and a
container that is frozen while an exec joins it would stop the monitor. A helper hands over what it
made, as one message with descriptors, and ends; its children become those of the monitor, which
is their subreaper.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn


def fork(
    work: Callable[[socket.socket], None], *, keep: Iterable[int] | None = None
) -> tuple[int, socket.socket]:
    """Run `work(channel)` in a child; its PID, and our end of the channel.

    With `keep` the child holds only those descriptors, so that nothing that we close stays open
    as long as it lives.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()  # or it would not see our end
        leave_by(lambda: _work(work, theirs, keep))
    theirs.close()
    return pid, ours


def leave_by(work: Callable[[], None]) -> NoReturn:
    """Run and exit; nothing of the parent's stack is ever returned to."""
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


def _work(
    work: Callable[[socket.socket], None], channel: socket.socket, keep: Iterable[int] | None
) -> None:
    _signal.set_wakeup_fd(-1)
    if keep is not None:
        kept = {0, 1, 2, channel.fileno(), *keep}
        for name in os.listdir("/proc/self/fd"):
            if int(name) not in kept:
                try:
                    os.close(int(name))
                except OSError:
                    pass  # listdir's own
    work(channel)
