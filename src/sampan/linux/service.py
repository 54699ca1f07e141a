"""What a service tells its manager (sd_notify(3)), and the sockets it is started with
(sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket

_FIRST = 3


def notify(text: str) -> None:
    """`READY=1`, `STOPPING=1`, …; nothing where no manager asked for it."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(text.encode(), f"\0{where[1:]}" if where[0] == "@" else where)
        except OSError:
            pass  # sd_notify(3): who is not heard goes on


def passed() -> list[socket.socket]:
    """The listening sockets given to this process; asked again, none."""
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = int(os.environ.pop("LISTEN_FDS", "") or 0) if mine else 0
    found = [socket.socket(fileno=_FIRST + number) for number in range(count)]
    for sock in found:
        sock.setblocking(False)
        os.set_inheritable(sock.fileno(), False)
    return found
