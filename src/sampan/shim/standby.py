"""A monitor, made ahead of need: it waits on a line from the spawner.

    line = make(work)                 # in the spawner: `work(line)` in a child of it
    hand_over(line, connection)       # what somebody wants; the line is used once
    connection = wait(line)           # in the child: None when the spawner has gone

The fork is behind us when somebody asks. One waits at a time, and it is of the spawner's own
version: the line's end is how it learns that the spawner has ended, and it ends too. Nothing of a
container is known to it before its one connection comes, and it serves no second.
"""

from __future__ import annotations

import array
import socket

from sampan.linux import unix
from sampan.shim import helper
from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def make(work: Callable[[socket.socket], None]) -> socket.socket:
    """Raises OSError where no process can be made."""
    return helper.fork(work)[1]


def hand_over(line: socket.socket, connection: int) -> bool:
    """False where whoever waited has gone; the line is closed, the connection stays open."""
    try:
        line.sendmsg([b"+"], unix.rights([connection]), socket.MSG_NOSIGNAL)
    except OSError:
        return False
    finally:
        line.close()
    return True


def wait(line: socket.socket, rehearse: Callable[[], None]) -> socket.socket | None:
    """The connection that is ours to serve. `rehearse` is called while there is none yet: what it
    executes has its pages copied then."""
    if not loops.is_readable(line.fileno()):
        rehearse()
    _, rights, _, _ = line.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    line.close()
    if not rights:
        return None
    (fd,) = array.array("i", rights[0][2])
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)
