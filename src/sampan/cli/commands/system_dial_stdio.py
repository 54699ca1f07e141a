"""`sampan system dial-stdio`: the engine's API on standard input and output.

What `-H ssh://` runs on the other host, ours and docker's. Each direction ends by itself, so that
`run -i` can say that no more input comes and still hear the answer.
"""

from __future__ import annotations

import os
import select
import socket

from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

_CHUNK = 1 << 16

COMMAND = Command(
    name="system dial-stdio",
    summary="Connect standard input and output to the engine's API",
    at_most=0,
    hidden=True,
)


def run(session: Session, args: Arguments) -> None:
    session.client.close()  # the engine runs
    sock = session.connect()
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(sock, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != 0:
                data = sock.recv(_CHUNK)
                if not data:
                    return
                _write(1, data)
            elif data := os.read(0, _CHUNK):
                sock.sendall(data)
            else:
                poll.unregister(0)
                sock.shutdown(socket.SHUT_WR)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
