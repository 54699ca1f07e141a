"""tar streams, read and written as they flow: ustar, GNU long names and base-256, PAX.

    for entry in read(source):              an Entry; its data is taken before the next
        source.copy_to(fd, entry.size)
    writer = Writer(write); writer.add(entry, data)

Names are text in which bytes that are no UTF-8 stand as surrogates (os.fsencode gives them back).
A sparse member has its map in `entry.sparse`, and `entry.size` bytes of data. pax(1), tar(5).
"""

from __future__ import annotations

import os
import stat

from sampan.image import sparse
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 512
REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = range(7)
_KINDS = {
    b"0": REGULAR, b"\0": REGULAR, b"7": REGULAR, b"1": HARD_LINK, b"2": SYMLINK,
    b"3": CHARACTER, b"4": BLOCK_DEVICE, b"5": DIRECTORY, b"6": FIFO, b"S": REGULAR,
}  # fmt: skip
_LETTERS = b"0123456"
_XATTR = "SCHILY.xattr."
_LARGEST_EXTENSION = 1 << 20
_NOBODY = (1 << 32) - 1  # to chown(2): leave as it is


class TarError(errors.InvalidArgument):
    """The stream is no tar archive, or one that cannot be trusted."""


class Source:
    """Bytes that come in chunks, taken by count."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._buffer, self._at = chunks, b"", 0
        self.offset = 0  # bytes taken so far

    def take(self, count: int) -> bytes:
        """Up to `count` bytes; fewer only at the end of the stream."""
        end = self._at + count
        if end <= len(self._buffer):
            part = self._buffer[self._at : end]
            self._at = end
        else:
            parts = [self._buffer[self._at :]]
            have = len(parts[0])
            while have < count and (chunk := next(self._chunks, None)) is not None:
                parts.append(chunk)
                have += len(chunk)
            self._buffer = b"".join(parts)
            part, self._at = self._buffer[:count], min(count, have)
        self.offset += len(part)
        return part

    def pieces(self, count: int) -> Iterator[memoryview]:
        """`count` bytes as they lie in the chunks, without a copy."""
        self.offset += count
        while count:
            have = len(self._buffer) - self._at
            if not have:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise TarError("the archive ends in the middle of a file")
                self._buffer, self._at = chunk, 0
                continue
            size = min(have, count)
            yield memoryview(self._buffer)[self._at : self._at + size]
            self._at += size
            count -= size

    def copy_to(self, fd: int, count: int) -> None:
        for piece in self.pieces(count):
            while piece:
                piece = piece[os.write(fd, piece) :]

    def skip(self, count: int) -> None:
        for _ in self.pieces(count):
            pass

    def drain(self) -> None:
        """Read to the very end: digests are of all the bytes, padding included."""
        self.offset += len(self._buffer) - self._at
        self._buffer, self._at = b"", 0
        for chunk in self._chunks:
            self.offset += len(chunk)


class Entry:
    """One member. `link` is a link's target; `device` (major, minor).

    `size` counts the bytes of data in the archive. Of a sparse file they are the pieces of
    `sparse`, [(offset, length), …], and `true_size` is what the file measures.
    """

    __slots__ = (
        "device", "gid", "kind", "link", "mode", "mtime", "name", "size", "sparse", "true_size",
        "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, name: str, kind: int = REGULAR, *, mode: int = 0o644, size: int = 0) -> None:
        self.name, self.kind, self.mode, self.size = name, kind, mode, size
        self.uid = self.gid = self.mtime = 0  # mtime in nanoseconds
        self.link = ""
        self.device = (0, 0)
        self.xattrs: dict[str, bytes] = {}
        self.sparse: sparse.Map | None = None
        self.true_size = size


def read(source: Source) -> Iterator[Entry]:
    """The members in order. What the caller leaves of a member's data is skipped."""
    pax: dict[str, bytes] = {}
    global_pax: dict[str, bytes] = {}
    long_name = long_link = None
    while True:
        header = source.take(BLOCK)
        if len(header) < BLOCK:
            if header.strip(b"\0"):
                raise TarError("the archive ends in the middle of a header")
            return
        if header[0] == 0 and not header.strip(b"\0"):
            return
        _check(header)
        kind, size = header[156:157], _number(header[124:136])
        if kind in (b"x", b"g", b"L", b"K", b"X"):
            data = _extension(source, size)
            if kind in b"xX":
                pax = _pax(data)
            elif kind == b"g":
                global_pax |= _pax(data)
            elif kind == b"L":
                long_name = data.split(b"\0", 1)[0]
            else:
                long_link = data.split(b"\0", 1)[0]
            continue
        entry = _entry(header, kind, size, long_name, long_link)
        if pax or global_pax:
            _apply(entry, {**global_pax, **pax})
        end = _end(source, entry, header, pax)
        pax, long_name, long_link = {}, None, None
        _limits(entry)
        yield entry
        source.skip(end - source.offset)


def _end(source: Source, entry: Entry, header: bytes, pax: dict[str, bytes]) -> int:
    """Where the next header is; a sparse member's map is read on the way."""
    if entry.kind != REGULAR:
        return source.offset
    if header[156:157] == b"S":
        entry.sparse, entry.true_size = sparse.old_gnu(header, source.take, _number)
    end = source.offset + entry.size + -entry.size % BLOCK
    if any(key.startswith("GNU.sparse.") for key in pax):
        before = source.offset
        entry.sparse, entry.true_size = sparse.pax(pax, entry.name, source.take)
        entry.size -= source.offset - before
    if entry.sparse is not None:
        sparse.check(entry.sparse, entry.true_size, entry.size, entry.name)
    return end


def _limits(entry: Entry) -> None:
    """Numbers that no system call takes are refused here, by the member's name."""
    seconds = entry.mtime // 10**9
    owners = 0 <= entry.uid < _NOBODY and 0 <= entry.gid < _NOBODY
    if not owners or abs(seconds) >= 1 << 62 or max(entry.device) >= 1 << 31:
        raise TarError(f"{entry.name}: an owner, a time or a device number is out of range")
    if "\0" in entry.name + entry.link:
        raise TarError(f"{entry.name!r}: a name with a zero byte")


def _extension(source: Source, size: int) -> bytes:
    if size > _LARGEST_EXTENSION:
        raise TarError(f"an extended header of {size} bytes is too large")
    data = source.take(size + -size % BLOCK)[:size]
    if len(data) < size:
        raise TarError("the archive ends in the middle of an extended header")
    return data


def _entry(header: bytes, kind: bytes, size: int, name: bytes | None, link: bytes | None) -> Entry:
    if name is None:
        name = header[:100].split(b"\0", 1)[0]
        if header[257:263] == b"ustar\0" and header[345]:
            name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    if kind not in _KINDS:
        raise TarError(f"{os.fsdecode(name)}: members of type {kind!r} are not supported")
    entry = Entry(os.fsdecode(name), _KINDS[kind])
    if entry.kind == REGULAR and entry.name.endswith("/"):
        entry.kind = DIRECTORY  # as tars before POSIX wrote them
    entry.mode = _number(header[100:108]) & 0o7777
    entry.uid, entry.gid = _number(header[108:116]), _number(header[116:124])
    entry.mtime = _number(header[136:148]) * 1_000_000_000
    entry.size = entry.true_size = size if entry.kind == REGULAR else 0
    if size < 0:
        raise TarError(f"{entry.name}: a size below zero")
    if entry.kind in (HARD_LINK, SYMLINK):
        entry.link = os.fsdecode(link or header[157:257].split(b"\0", 1)[0])
    elif entry.kind in (CHARACTER, BLOCK_DEVICE):
        entry.device = (_number(header[329:337]), _number(header[337:345]))
    return entry


def _apply(entry: Entry, pax: dict[str, bytes]) -> None:
    try:
        for key, value in pax.items():
            if key.startswith(_XATTR):
                entry.xattrs[key[len(_XATTR) :]] = value
            elif not value:
                continue  # "shall delete any header block field": ours keeps what is there
            elif (key == "path" and "GNU.sparse.name" not in pax) or key == "GNU.sparse.name":
                entry.name = os.fsdecode(value)
            elif key == "linkpath" and entry.kind in (HARD_LINK, SYMLINK):
                entry.link = os.fsdecode(value)
            elif key == "size" and entry.kind == REGULAR:
                entry.size = entry.true_size = _decimal(value)
            elif key == "mtime":
                entry.mtime = _nanoseconds(value.decode())
            elif key in ("uid", "gid"):
                setattr(entry, key, _decimal(value))
    except ValueError as error:
        raise TarError(f"{entry.name}: bad extended header: {error}") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError(f"{text[:32]!r} is no number")
    return int(text)


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return int(whole or 0) * 10**9 + sign * int(fraction[:9].ljust(9, "0") or 0)


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base-256, GNU: the sign in the second bit
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") - (
            1 << (8 * len(field) - 1) if field[0] & 0x40 else 0
        )
    text = field.split(b"\0", 1)[0].strip()
    if text.strip(b"01234567"):
        raise TarError(f"{field!r} in a header is no octal number")
    return int(text, 8) if text else 0


def _check(header: bytes) -> None:
    """The sum of the header's bytes; some old tars took them as signed."""
    try:
        stored = _number(header[148:156])
    except TarError:
        stored = -1
    actual = sum(header) - sum(header[148:156]) + 256
    if actual != stored:
        signed = actual - 256 * sum(1 for byte in header[:148] + header[156:] if byte > 127)
        if signed != stored:
            raise TarError("this is no tar archive: a header's checksum is wrong")


def _pax(data: bytes) -> dict[str, bytes]:
    """`LENGTH KEY=VALUE\\n` records. Sparse maps of version 0.0, a record for each number, become
    those of 0.1."""
    records: dict[str, bytes] = {}
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        length = data[at:space]
        end = at + int(length) if space > 0 and length.isdigit() else 0
        if end <= space + 2 or end > len(data):
            raise TarError("an extended header is malformed")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or b"\0" in key or data[end - 1] != 10:
            raise TarError("an extended header is malformed")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        records[os.fsdecode(key)] = value
        at = end
    if pieces:
        records["GNU.sparse.map"] = b",".join(pieces)
    return records


def write_data(entry: Entry, fd: int, source: Source) -> None:
    """A regular member's data into an empty file; a sparse one gets its holes."""
    if entry.sparse is None:
        source.copy_to(fd, entry.size)
        return
    for offset, length in entry.sparse:
        os.lseek(fd, offset, os.SEEK_SET)
        source.copy_to(fd, length)
    os.ftruncate(fd, entry.true_size)


def set_xattrs(file: int | str, entry: Entry) -> None:
    """A member's extended attributes, as far as the file system takes them."""
    for key, value in entry.xattrs.items():
        if key.startswith("trusted.overlay."):
            continue  # overlayfs's own language is not for images to speak
        try:
            os.setxattr(file, key, value)
        except OSError as error:
            if error.errno not in (95, 1):  # EOPNOTSUPP, EPERM: as GNU tar, go on without
                raise


class Writer:
    """Writes members through `write(bytes)`; the same members give the same bytes.

    No member is younger than `latest`, seconds since 1970 (SOURCE_DATE_EPOCH).
    """

    def __init__(self, write: Callable[[bytes], object], *, latest: int | None = None) -> None:
        self._write = write
        self._latest = None if latest is None else latest * 10**9

    def begin(self, entry: Entry) -> None:
        """The header; `entry.size` bytes of data are to follow, then `pad`."""
        if self._latest is not None:
            entry.mtime = min(entry.mtime, self._latest)
        name = os.fsencode(entry.name)
        if entry.kind == DIRECTORY and not name.endswith(b"/"):
            name += b"/"
        link = os.fsencode(entry.link)
        pax = _extended(entry, name, link)
        if pax:
            body = b"".join(_record(key, pax[key]) for key in sorted(pax))
            self._write(_header(b"PaxHeaders/entry", b"x", Entry("", size=len(body)), b""))
            self._write(body + b"\0" * (-len(body) % BLOCK))
        kind = _LETTERS[entry.kind : entry.kind + 1]
        self._write(_header(name[:100], kind, entry, link[:100]))

    def pad(self, size: int) -> None:
        if size % BLOCK:
            self._write(b"\0" * (-size % BLOCK))

    def add(self, entry: Entry, data: bytes = b"") -> None:
        entry.size = len(data)
        self.begin(entry)
        self._write(data)
        self.pad(len(data))

    def add_file(self, entry: Entry, fd: int) -> None:
        """A regular file of `entry.size` bytes; one that shrank meanwhile is filled with zeros."""
        self.begin(entry)
        left = entry.size
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
        whole, fraction = divmod(entry.mtime, 10**9)
        pax["mtime"] = (
            b"%d" % whole + (b".%09d" % fraction).rstrip(b"0") if fraction else b"%d" % whole
        )
    for key, value in entry.xattrs.items():
        pax[_XATTR + key] = value
    return pax


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


def write_tree(writer: Writer, root: str, name: str = "", *, under: str = "") -> None:
    """Add a path and all below it, as `name` inside the archive (default: relative to `root`).

    Hard links among the files stay links; sockets are left out; nothing is followed.
    """
    seen: dict[tuple[int, int], str] = {}
    _write_path(writer, f"{root}/{under}".rstrip("/") or "/", name, seen)


def _write_path(writer: Writer, path: str, name: str, seen: dict[tuple[int, int], str]) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        write_one(writer, path, name, status, seen)
        return
    if name:
        writer.begin(entry_of(path, name, status))
    for child in sorted(os.listdir(path)):
        inside = f"{name}/{child}" if name else child
        _write_path(writer, f"{path.rstrip('/')}/{child}", inside, seen)


def write_one(
    writer: Writer,
    path: str,
    name: str,
    status: os.stat_result,
    seen: dict[tuple[int, int], str],
) -> None:
    """Add what is no directory. `seen` maps (device, inode) to the name a hard link goes to."""
    if stat.S_ISSOCK(status.st_mode):
        return
    entry = entry_of(path, name, status)
    if status.st_nlink > 1:
        first = seen.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            entry.kind, entry.link, entry.size, entry.xattrs = HARD_LINK, first, 0, {}
    if entry.kind != REGULAR:
        writer.begin(entry)
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return  # gone since it was listed
    try:
        writer.add_file(entry, fd)
    finally:
        os.close(fd)


def entry_of(path: str, name: str, status: os.stat_result) -> Entry:
    """What a file is, as a member: kind, attributes, link target, extended attributes."""
    mode = status.st_mode
    kinds = (
        (stat.S_ISREG, REGULAR), (stat.S_ISDIR, DIRECTORY), (stat.S_ISLNK, SYMLINK),
        (stat.S_ISCHR, CHARACTER), (stat.S_ISBLK, BLOCK_DEVICE),
    )  # fmt: skip
    kind = next((kind for test, kind in kinds if test(mode)), FIFO)
    entry = Entry(name, kind, mode=stat.S_IMODE(mode))
    entry.uid, entry.gid, entry.mtime = status.st_uid, status.st_gid, status.st_mtime_ns
    if kind == REGULAR:
        entry.size = status.st_size
    elif kind == SYMLINK:
        entry.link = os.readlink(path)
    elif kind in (CHARACTER, BLOCK_DEVICE):
        entry.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if kind in (REGULAR, DIRECTORY):
        entry.xattrs = xattrs(path)
    return entry


def xattrs(path: str) -> dict[str, bytes]:
    """Those an image carries; overlayfs's own and the host's labels stay behind."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    wanted = [n for n in names if n == "security.capability" or n.startswith("user.")]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in wanted}
