"""Compressed streams, told by their first bytes: gzip (isal, else zlib), zstd, or none.

    for chunk in decompress(read_chunks(file)): …

Several gzip members in a row and zstd's skippable frames are read as one stream (RFC 1952, 8878).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO, BinaryIO

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 18


class Corrupt(errors.InvalidArgument):
    def __init__(self, why: object) -> None:
        super().__init__(f"the compressed layer is corrupt: {why}")


def chunks(file: BinaryIO | IO[bytes], size: int = _CHUNK) -> Iterator[bytes]:
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


def _gunzip(stream: Iterator[bytes]) -> Iterator[bytes]:
    new, failures = _decompressor()
    member = new()
    fresh = True
    try:
        for chunk in stream:
            while chunk:
                if fresh and not chunk.strip(b"\0"):
                    break  # padding after the last member
                fresh = False
                if plain := member.decompress(chunk):
                    yield plain
                chunk = member.unused_data if member.eof else b""
                if member.eof:
                    member, fresh = new(), True
    except failures as error:
        raise Corrupt(error) from error
    if not fresh:
        raise Corrupt("it ends too early")


def _unzstd(stream: Iterator[bytes]) -> Iterator[bytes]:
    try:
        from backports import zstd
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ImportError as error:
            raise errors.Unsupported(
                "this layer is compressed with zstd; install the Python package backports.zstd"
            ) from error
    frame = zstd.ZstdDecompressor()
    try:
        for chunk in stream:
            while chunk:
                if plain := frame.decompress(chunk):
                    yield plain
                chunk = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame = zstd.ZstdDecompressor()
    except zstd.ZstdError as error:
        raise Corrupt(error) from error


class GzipWriter:
    """Deflates what is written, with a pinned level and no time in the header."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        try:
            from isal import isal_zlib

            self._object: Any = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
        except ImportError:
            import zlib

            self._object = zlib.compressobj(1, zlib.DEFLATED, 31)

    def write(self, data: bytes) -> None:
        if packed := self._object.compress(data):
            self._write(packed)

    def finish(self) -> None:
        self._write(self._object.flush())
