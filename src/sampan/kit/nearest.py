""" "Did you mean …?": the known word that is nearest to a mistyped one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def one(word: str, known: Iterable[str]) -> str:
    """The best of those within two edits, or that `word` begins; empty if there is none."""
    best, best_distance = "", 3
    for candidate in sorted(known):
        distance = _distance(word, candidate)
        if len(word) >= 3 and candidate.startswith(word):
            distance = min(distance, 1)
        if distance < best_distance and distance < len(word):
            best, best_distance = candidate, distance
    return best


def _distance(left: str, right: str) -> int:
    """Edits (insert, delete, replace, swap neighbours) from one word to the other."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
