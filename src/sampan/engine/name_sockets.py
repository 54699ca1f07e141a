"""What a container is answered by: two sockets of its namespace at 127.0.0.11, and its pidfd."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.network import dns

if TYPE_CHECKING:
    from collections.abc import Iterable


def made(netns: int, pid: int) -> list[int]:
    """UDP, TCP and pidfd, the caller's to close. Raises OSError."""
    pidfd = os.pidfd_open(pid)
    try:
        sockets = dns.open_sockets(netns)
    except BaseException:
        os.close(pidfd)
        raise
    return [sockets.udp.detach(), sockets.tcp.detach(), pidfd]


def of(pid: int) -> list[int]:
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return made(netns, pid)
    finally:
        os.close(netns)


def close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)
