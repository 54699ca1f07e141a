"""Network namespaces: do one thing in another one, and come back.

setns(2) with CLONE_NEWNET moves only the calling thread, so a daemon may step into a container's
namespace for the length of one `socket()` call: a socket stays in the namespace it was made in.

    with entered(netns):
        sock = socket.socket(...)
"""

from __future__ import annotations

import _socket
import fcntl
import os

from sampan.linux import _libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

CLONE_NEWNET = 0x40000000


class entered:  # used like a function; contextlib would cost an import
    """Be in the network namespace `netns` (a descriptor) until the end of the block.

    Between enter and exit nothing may await or start a thread. When the way back fails the
    thread would be lost in a container's namespace; that ends the process.
    """

    def __init__(self, netns: int) -> None:
        self._netns = netns

    def __enter__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _libc.setns(self._netns, CLONE_NEWNET)
        except BaseException:
            os.close(self._home)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            _libc.setns(self._home, CLONE_NEWNET)
        except OSError:
            os.abort()
        os.close(self._home)


_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # netdevice(7)


def loopback_up() -> None:
    """Bring `lo` of the current namespace up; the kernel then gives it 127.0.0.1 and ::1."""
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = fcntl.ioctl(sock, _SIOCGIFFLAGS, b"lo".ljust(40, b"\0"))
        up = request[16] | _IFF_UP  # struct ifreq: 16 bytes of name, then the flags
        fcntl.ioctl(sock, _SIOCSIFFLAGS, request[:16] + bytes([up]) + request[17:])
    finally:
        sock.close()
