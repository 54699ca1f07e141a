"""Compressed streams, told by their first bytes: gzip (isal, else zlib), zstd, xz, bzip2, none.

    for chunk in decompress(read_chunks(file)): …
    writer = compressor("zstd", write); writer.write(data); writer.finish()

Several gzip members in a row and zstd's skippable frames are read as one stream (RFC 1952, 8878).
However small the input, the output comes in pieces of a megabyte; and no stream may grow more than
gzip ever lets it (1032 times) beyond the first gigabyte, so that the size which a layer's
descriptor declares also bounds what it unpacks to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Readable(Protocol):
        def read(self, count: int, /) -> bytes: ...


_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_XZ, _BZIP2 = b"\xfd7zX", b"BZh"
_CHUNK = 1 << 18
_PIECE = 1 << 20  # bytes that come out at a time
_FREE, _GROWTH = 1 << 30, 1032


class Corrupt(errors.InvalidArgument):
    def __init__(self, why: object) -> None:
        super().__init__(f"the compressed layer is corrupt: {why}")


class Bomb(Corrupt):
    def __init__(self, taken: int, given: int) -> None:
        super().__init__(f"{taken} bytes of it have become {given}: this is a decompression bomb")


def chunks(file: Readable, size: int = _CHUNK) -> Iterator[bytes]:
    while part := file.read(size):
        yield part


def decompress(stream: Iterator[bytes]) -> Iterator[bytes]:
    """The plain bytes of a stream in any of the forms."""
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= 4:
            break
    whole = _chain(head, stream)
    if head.startswith(_GZIP):
        return _gunzip(whole)
    if head.startswith(_ZSTD) or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18"):
        return _unzstd(whole)
    if head.startswith((_XZ, _BZIP2)):
        return _unpacked(whole, "lzma" if head.startswith(_XZ) else "bz2")
    return whole


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _decompressor() -> tuple[Any, Any]:
    try:
        from isal import isal_zlib

        return (lambda: isal_zlib.decompressobj(31)), (isal_zlib.error,)
    except ImportError:
        import zlib

        return (lambda: zlib.decompressobj(31)), (zlib.error,)


class _Growth:
    """What came in and what went out."""

    def __init__(self) -> None:
        self.taken = self.given = 0

    def take(self, chunk: bytes) -> None:
        self.taken += len(chunk)

    def give(self, piece: bytes) -> bytes:
        self.given += len(piece)
        if self.given > _FREE + _GROWTH * self.taken:
            raise Bomb(self.taken, self.given)
        return piece


def _gunzip(stream: Iterator[bytes]) -> Iterator[bytes]:
    new, failures = _decompressor()
    member, fresh, growth = new(), True, _Growth()
    try:
        for chunk in stream:
            growth.take(chunk)
            while chunk:
                if fresh and not chunk.strip(b"\0"):
                    break  # padding after the last member
                fresh = False
                yield from _inflated(member, chunk, growth)
                chunk = member.unused_data if member.eof else b""
                if member.eof:
                    member, fresh = new(), True
    except failures as error:
        raise Corrupt(error) from error
    if not fresh:
        raise Corrupt("it ends too early")


def _inflated(member: Any, chunk: bytes, growth: _Growth) -> Iterator[bytes]:
    piece = None
    while piece is None or len(piece) == _PIECE or (chunk and not member.eof):
        piece = member.decompress(chunk, _PIECE)
        chunk = member.unconsumed_tail
        if piece:
            yield growth.give(piece)


def _unpacked(stream: Iterator[bytes], module: str) -> Iterator[bytes]:
    """bzip2 and xz: no image has them, but a build's context and what ADD unpacks may."""
    new, failures = _library(module)
    member, growth = new(), _Growth()
    try:
        for chunk in stream:
            growth.take(chunk)
            while chunk.strip(b"\0") or not member.eof:
                if member.eof:
                    member = new()
                if piece := member.decompress(chunk, _PIECE):
                    yield growth.give(piece)
                chunk = member.unused_data if member.eof else b""
                if not member.eof and member.needs_input:
                    break
    except failures as error:
        raise Corrupt(error) from error
    if not member.eof:
        raise Corrupt("it ends too early")


def _library(module: str) -> tuple[Any, Any]:
    if module == "bz2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    import lzma

    return lzma.LZMADecompressor, (lzma.LZMAError,)


def zstd() -> Any:
    """The module, wherever this Python has it. Raises Unsupported."""
    try:
        from backports import zstd as module
    except ImportError:
        try:
            from compression import zstd as module  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ImportError as error:
            raise errors.Unsupported(
                "this layer is compressed with zstd; install the Python package backports.zstd"
            ) from error
    return module


def _unzstd(stream: Iterator[bytes]) -> Iterator[bytes]:
    module = zstd()
    frame, fresh, growth = module.ZstdDecompressor(), True, _Growth()
    try:
        for chunk in stream:
            growth.take(chunk)
            while chunk:
                fresh = False
                piece = frame.decompress(chunk, _PIECE)
                if piece:
                    yield growth.give(piece)
                while not frame.needs_input and not frame.eof:
                    yield growth.give(frame.decompress(b"", _PIECE))
                chunk = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, fresh = module.ZstdDecompressor(), True
    except module.ZstdError as error:
        raise Corrupt(error) from error
    if not fresh:
        raise Corrupt("it ends too early")


class GzipWriter:
    """Deflates what is written, with a pinned level and no time in the header; a level that was
    asked for (0 to 9) is zlib's.

    The bytes that come out depend on how those that go in are cut, so they are cut here.
    """

    def __init__(self, write: Callable[[bytes], object], level: int | None = None) -> None:
        self._write = write
        self._object: Any = _deflater() if level is None else _zlib(_within(level, 9))
        self._waiting = bytearray()

    def write(self, data: bytes | bytearray) -> None:
        self._waiting += data
        if len(self._waiting) >= _CHUNK:
            self._deflate(len(self._waiting) // _CHUNK * _CHUNK)

    def _deflate(self, size: int) -> None:
        with memoryview(self._waiting) as view:
            for at in range(0, size, _CHUNK):
                if packed := self._object.compress(view[at : min(at + _CHUNK, size)]):
                    self._write(packed)
        del self._waiting[:size]

    def finish(self) -> None:
        self._deflate(len(self._waiting))
        self._write(self._object.flush())


def _deflater() -> Any:
    try:
        from isal import isal_zlib

        return isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
    except ImportError:
        return _zlib(1)


def _zlib(level: int) -> Any:
    import zlib

    return zlib.compressobj(level, zlib.DEFLATED, 31)


def _within(level: int, most: int) -> int:
    if not 0 <= level <= most:
        raise errors.InvalidArgument(f"compression level {level}: 0 to {most} is wanted")
    return level


class ZstdWriter:
    """One frame, with a pinned level (3, if none of 0 to 22 was asked for) and a checksum."""

    def __init__(self, write: Callable[[bytes], object], level: int | None = None) -> None:
        module = zstd()
        _within(level or 0, 22)
        options = {
            module.CompressionParameter.compression_level: 3 if level is None else level,
            module.CompressionParameter.checksum_flag: 1,
        }
        self._write, self._object = write, module.ZstdCompressor(options=options)

    def write(self, data: bytes) -> None:
        if packed := self._object.compress(data):
            self._write(packed)

    def finish(self) -> None:
        self._write(self._object.flush())


class PlainWriter:
    def __init__(self, write: Callable[[bytes], object], level: int | None = None) -> None:
        self.write = write

    def finish(self) -> None: ...


FORMS = {"gzip": GzipWriter, "zstd": ZstdWriter, "uncompressed": PlainWriter}


def compressor(form: str, write: Callable[[bytes], object], level: int | None = None) -> Any:
    """A writer of one of FORMS. Raises InvalidArgument."""
    if form not in FORMS:
        raise errors.InvalidArgument(f"{form!r} is no compression: write {', '.join(FORMS)}")
    return FORMS[form](write, level)
