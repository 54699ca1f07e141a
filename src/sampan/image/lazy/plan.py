"""From a table of contents to a layer file: the tree, where each file's bytes go, and from where.

The data area of an ordinary layer file is its tar. The table does not say how long the tar's
headers are, so a lazy layer's is the files' bytes alone, one after another in blocks of 512.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sampan.image.erofs import index
from sampan.image.erofs.tree import Tree
from sampan.image.lazy import toc
from sampan.kit import collector

if TYPE_CHECKING:
    from sampan.image.lazy.toc import Member

_PAGE = 4096
_MOST = 1 << 20  # bytes of a span that nothing in the table divides: it is cut


class Piece(NamedTuple):
    """One chunk: `size` bytes at `place` of the layer file; `inner` in the span, inflated."""

    place: int
    size: int
    span: int
    inner: int
    digest: str


class Span(NamedTuple):
    """Bytes of the blob that are fetched together."""

    start: int
    end: int
    pieces: tuple[Piece, ...]


class Plan:
    def __init__(self, table: bytes, blob_size: int, toc_offset: int) -> None:
        """Raises NotLazy, and what makes a layer impossible (Trap, TarError)."""
        with collector.paused():
            self._make(table, blob_size, toc_offset)

    def _make(self, table: bytes, blob_size: int, toc_offset: int) -> None:
        self.tree = Tree()
        self.members: list[Member] = []
        found: list[tuple[int, toc.Chunk]] = []
        at = 0
        for member in toc.read(table):
            entry, chunks = member
            self.members.append(member)
            self.tree.put(entry, at)
            for chunk in chunks:
                if not 0 <= chunk.offset < toc_offset or chunk.inner < 0:
                    raise toc.NotLazy(f"{entry.name} lies outside the blob")
                if chunk.inner + chunk.size > toc.LARGEST_CHUNK:
                    raise toc.NotLazy(f"{entry.name} lies too deep in its piece")
                found.append((index.RESERVE + at + chunk.at, chunk))
            at += entry.size + -entry.size % index.BLOCK
        self.total = index.RESERVE + at
        self.size = self.total + -self.total % _PAGE  # of the layer file
        self.spans = _spans(found, blob_size, toc_offset)
        self.pieces = sorted(piece for span in self.spans for piece in span.pieces)
        self._places = [piece.place for piece in self.pieces]

    def index(self) -> bytes:
        """The EROFS metadata. Raises index.TooLarge."""
        with collector.paused():
            return index.pack(self.tree, {}, self.total)

    def spans_of(self, offset: int, size: int) -> list[int]:
        """Which spans hold these bytes of the layer file, without repetition, in order."""
        first = max(bisect_right(self._places, offset) - 1, 0)
        needed = dict.fromkeys(
            piece.span
            for piece in self.pieces[first : bisect_right(self._places, offset + size - 1)]
            if piece.place + piece.size > offset
        )
        return sorted(needed)


def _spans(found: list[tuple[int, toc.Chunk]], blob_size: int, toc_offset: int) -> list[Span]:
    """The whole blob, cut wherever a chunk begins; what holds no chunk is cut by size."""
    starts = sorted({0, toc_offset, blob_size, *(chunk.offset for _, chunk in found)})
    holding: dict[int, list[tuple[int, toc.Chunk]]] = {}
    for place, chunk in found:
        holding.setdefault(chunk.offset, []).append((place, chunk))
    spans: list[Span] = []
    for start, end in pairwise(starts):
        held = holding.get(start)
        if held:
            number = len(spans)
            pieces = (Piece(place, c.size, number, c.inner, c.digest) for place, c in held)
            spans.append(Span(start, end, tuple(pieces)))
            continue
        for at in range(start, end, _MOST):
            spans.append(Span(at, min(at + _MOST, end), ()))
    return spans
