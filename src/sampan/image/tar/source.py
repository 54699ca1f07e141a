"""A tar's bytes as they flow, taken by count."""

from __future__ import annotations

import os

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


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
