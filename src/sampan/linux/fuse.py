"""One read-only file whose bytes this program gives: as little of FUSE as that takes. fuse(4).

    file = File(size)
    mounted = file.mount()            attached nowhere; its root is the file itself
    os.open(f"/proc/self/fd/{mounted}", os.O_RDONLY)     in another thread: it waits for `receive`
    read = file.receive()             a Read to answer; None for what was answered here
    file.answer(read, data) or file.fail(read, errno.EIO)

Readers get nothing that was not given here. They wait as long as anybody has the descriptor open,
so a second holder can bring it to the next server (`File(size, fd)`, `again`); then they get an
error. The format is the kernel's include/uapi/linux/fuse.h.
"""

from __future__ import annotations

import errno
import os
import struct

from sampan.kit.record import Record
from sampan.linux.mount import MOUNT_ATTR, Filesystem

_IN = struct.Struct("<IIQQIIIHH")  # fuse_in_header: length, opcode, unique, …
_OUT = struct.Struct("<IiQ")  # fuse_out_header: length, error, unique
_READ = struct.Struct("<QQI")  # the head of fuse_read_in: handle, offset, size
_INIT_IN = struct.Struct("<IIII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("<QIIQQQQQQIIIIIIIIII")  # fuse_attr_out
_OPEN_OUT = struct.Struct("<QII")
_STATFS_OUT = struct.Struct("<QQQQQIIII24x")
_FORGET, _GETATTR, _OPEN, _READ_OP, _STATFS, _RELEASE, _INIT = 2, 3, 14, 15, 17, 18, 26
_INTERRUPT, _BATCH_FORGET = 36, 42
_RESEND = 7  # a notification (Linux 6.9)
_ASYNC_READ, _ASYNC_DIO, _MAX_PAGES = 1 << 0, 1 << 15, 1 << 22
_MAJOR, _MINOR = 7, 31  # the protocol that is spoken: that of Linux 5.4
_REQUEST = 1 << 16  # bytes; none of those that come is larger
_LARGEST_READ = 1 << 20
_YEAR = 365 * 24 * 3600


class Read(Record):
    unique: int
    offset: int
    size: int


class File:
    def __init__(self, size: int, fd: int = -1) -> None:
        """`fd`: of a file that is mounted already, to go on with."""
        self._size, self._fd = size, fd
        if fd < 0:
            self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        """Readable when there is something to `receive`."""
        return self._fd

    def mount(self) -> int:
        """A descriptor of the mount; it lives as long as that, or a file opened through it."""
        filesystem = Filesystem("fuse")
        try:
            for key, value in (
                ("source", "sampan"), ("fd", str(self._fd)), ("rootmode", "100400"),
                ("user_id", "0"), ("group_id", "0"),
            ):  # fmt: skip
                filesystem.set(key, value)
        except OSError:
            filesystem.close()
            raise
        return filesystem.mount(MOUNT_ATTR.RDONLY)

    def again(self) -> None:
        """Have what another server received, and did not answer, come once more. OSError where the
        kernel cannot."""
        os.write(self._fd, _OUT.pack(_OUT.size, _RESEND, 0))

    def receive(self) -> Read | None:
        """Raises BlockingIOError where nothing waits, OSError(ENODEV) when nobody has it open."""
        request = os.read(self._fd, _REQUEST)
        _, opcode, unique, *_ = _IN.unpack_from(request)
        if opcode == _READ_OP:
            _, offset, size = _READ.unpack_from(request, _IN.size)
            return Read(unique=unique, offset=offset, size=size)
        if opcode == _INIT:
            self._reply(unique, _hello(request))
        elif opcode == _GETATTR:
            self._reply(unique, self._attributes())
        elif opcode == _OPEN:
            self._reply(unique, _OPEN_OUT.pack(1, 0, 0))
        elif opcode == _STATFS:
            self._reply(unique, _STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0))
        elif opcode == _RELEASE:
            self._reply(unique, b"")
        elif opcode not in (_FORGET, _BATCH_FORGET, _INTERRUPT):  # those want no answer
            self._reply(unique, b"", errno.ENOSYS)
        return None

    def answer(self, read: Read, data: bytes) -> None:
        self._reply(read.unique, data)

    def fail(self, read: Read, error: int) -> None:
        self._reply(read.unique, b"", error)

    def close(self) -> None:
        """If nobody else has the descriptor, readers get ENOTCONN from now on."""
        os.close(self._fd)

    def _attributes(self) -> bytes:
        times = (0,) * 6
        mode = 0o100400
        return _ATTRIBUTES.pack(
            _YEAR, 0, 0, 1, self._size, 0, *times[:3], *times[3:], mode, 1, 0, 0, 0, 4096, 0
        )

    def _reply(self, unique: int, body: bytes, error: int = 0) -> None:
        try:
            os.writev(self._fd, [_OUT.pack(_OUT.size + len(body), -error, unique), body])
        except FileNotFoundError:
            pass  # whoever asked was interrupted


def _hello(request: bytes) -> bytes:
    _, _, _, offered = _INIT_IN.unpack_from(request, _IN.size)
    flags = offered & (_ASYNC_READ | _ASYNC_DIO | _MAX_PAGES)
    pages = _LARGEST_READ // 4096
    return _INIT_OUT.pack(
        _MAJOR, _MINOR, _LARGEST_READ, flags, 64, 48, 4096, 1, pages, 0, 0
    )  # fmt: skip
