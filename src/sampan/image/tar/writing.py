"""Writing: entries become ustar headers, with a PAX header where those are too small."""

from __future__ import annotations

import os

from sampan.image.tar.entry import BLOCK, DIRECTORY, XATTR, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LETTERS = b"0123456"


class Writer:
    """Writes members through `write(bytes)`; the same members give the same bytes.

    No member is younger than `latest`, seconds since 1970 (SOURCE_DATE_EPOCH). `seen` hears of each
    member, and at which of the tar's bytes its data begins.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        latest: int | None = None,
        seen: Callable[[Entry, int], object] | None = None,
    ) -> None:
        self._write, self._seen = write, seen
        self.data = write  # a member's, piece by piece
        self.latest = latest
        self._at = 0

    def begin(self, entry: Entry) -> None:
        """The header; `entry.size` bytes of data are to follow, then `pad`."""
        if self.latest is not None:
            entry.mtime = min(entry.mtime, self.latest * 10**9)
        name = os.fsencode(entry.name)
        if entry.kind == DIRECTORY and not name.endswith(b"/"):
            name += b"/"
        link = os.fsencode(entry.link)
        pax = _extended(entry, name, link)
        if pax:
            body = b"".join(_record(key, pax[key]) for key in sorted(pax))
            size = len(body)
            body += b"\0" * (-len(body) % BLOCK)
            self._write(_header(b"PaxHeaders/entry", b"x", Entry("", size=size), b""))
            self._write(body)
            self._at += BLOCK + len(body)
        kind = _LETTERS[entry.kind : entry.kind + 1]
        self._write(_header(name[:100], kind, entry, link[:100]))
        self._at += BLOCK
        if self._seen is not None:
            self._seen(entry, self._at)
        self._at += entry.size + -entry.size % BLOCK

    def pad(self, size: int) -> None:
        if size % BLOCK:
            self._write(b"\0" * (-size % BLOCK))

    def add(self, entry: Entry, data: bytes = b"") -> None:
        entry.size = len(data)
        self.begin(entry)
        self._write(data)
        self.pad(len(data))

    def add_file(self, entry: Entry, fd: int, head: bytes = b"") -> None:
        """A regular file of `entry.size` bytes; one that shrank meanwhile is filled with zeros.
        `head` stands for the file's first bytes."""
        self.begin(entry)
        self._write(head)
        left = entry.size - os.lseek(fd, len(head), os.SEEK_SET)
        while left:
            part = os.read(fd, min(left, 1 << 20))
            if not part:
                self._write(b"\0" * left)
                break
            self._write(part)
            left -= len(part)
        self.pad(entry.size)

    def finish(self) -> None:
        self._write(b"\0" * (2 * BLOCK))


def _extended(entry: Entry, name: bytes, link: bytes) -> dict[str, bytes]:
    pax: dict[str, bytes] = {}
    if len(name) > 100:
        pax["path"] = name
    if len(link) > 100:
        pax["linkpath"] = link
    if entry.size >= 1 << 33:
        pax["size"] = b"%d" % entry.size
    for key in ("uid", "gid"):
        if getattr(entry, key) >= 1 << 21:
            pax[key] = b"%d" % getattr(entry, key)
    if entry.mtime % 10**9 or not 0 <= entry.mtime < (1 << 33) * 10**9:
        pax["mtime"] = _seconds(entry.mtime)
    for key, value in entry.xattrs.items():
        pax[XATTR + key] = value
    return pax


def _seconds(nanoseconds: int) -> bytes:
    """A decimal number; also before 1970 its fraction counts away from zero."""
    whole, fraction = divmod(abs(nanoseconds), 10**9)
    text = b"%d.%09d" % (whole, fraction)
    return (b"-" if nanoseconds < 0 else b"") + text.rstrip(b"0").rstrip(b".")


def _record(key: str, value: bytes) -> bytes:
    body = b" %s=%s\n" % (key.encode(), value)
    size = len(body) + 1
    while size != len(b"%d" % size) + len(body):
        size = len(b"%d" % size) + len(body)
    return b"%d" % size + body


def _header(name: bytes, kind: bytes, entry: Entry, link: bytes) -> bytes:
    major, minor = entry.device
    mtime = min(max(entry.mtime // 10**9, 0), (1 << 33) - 1)
    uid, gid = (value if value < 1 << 21 else 0 for value in (entry.uid, entry.gid))
    size = entry.size if entry.size < 1 << 33 else 0
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"), entry.mode & 0o7777, uid, gid, size, mtime,
    )  # fmt: skip
    tail = b"%s%sustar\00000%s%07o\0%07o\0" % (
        kind, link.ljust(100, b"\0"), b"\0" * 64, major, minor,
    )  # fmt: skip
    block = head + b" " * 8 + tail
    block = block.ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
