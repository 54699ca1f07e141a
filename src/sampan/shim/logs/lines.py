"""Output as messages: one line each, for drivers that keep messages and not bytes."""

from __future__ import annotations

LIMIT = 16 * 1024  # Docker's, moby daemon/logger/copier.go


class Lines:
    """Of both streams; a line waits for its end, up to `LIMIT`."""

    def __init__(self) -> None:
        self._held = {1: b"", 2: b""}

    def feed(self, stream: int, chunk: bytes) -> list[tuple[bytes, bool]]:
        """(text without its newline, whether the line goes on in the next message)."""
        *lines, rest = (self._held[stream] + chunk).split(b"\n")
        found = [piece for line in lines for piece in _pieces(line)]
        while len(rest) >= LIMIT:
            found.append((rest[:LIMIT], True))
            rest = rest[LIMIT:]
        self._held[stream] = rest
        return found

    def rest(self) -> list[tuple[int, bytes]]:
        """(stream, text) of lines that never ended."""
        held, self._held = self._held, {1: b"", 2: b""}
        return [(stream, text) for stream, text in held.items() if text]


def _pieces(line: bytes) -> list[tuple[bytes, bool]]:
    if len(line) <= LIMIT:
        return [(line, False)]
    starts = range(0, len(line), LIMIT)
    return [(line[start : start + LIMIT], start + LIMIT < len(line)) for start in starts]
