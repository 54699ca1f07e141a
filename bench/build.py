"""The build row: a context of 41,500 small files; cold, all cached, and with one file changed.

Podman builds with buildah's library. The cold build happens once for each peer; the others are
medians.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from peers import Peer

DIRECTORIES, FILES = 415, 100
TITLES = {
    "cold": ("build, 41,500 files of context, cold", "≤ 5 s"),
    "cached": ("the same, all cached", "≤ 0.7 s"),
    "changed": ("the same, one file changed", "≤ 2 s"),
}
_AFRESH = 3


def rows(peers: list[Peer], work: Path) -> dict[str, dict[str, float]]:
    """Kind → peer → milliseconds."""
    context = _context(work)
    found: dict[str, dict[str, float]] = {kind: {} for kind in TITLES}
    for peer in (one for one in peers if one.name in ("sampan", "podman")):
        found["cold"][peer.name] = _build(peer, context)
        found["cached"][peer.name] = statistics.median(
            _build(peer, context) for _ in range(_AFRESH)
        )
        found["changed"][peer.name] = statistics.median(
            _build(peer, context, change=True) for _ in range(_AFRESH)
        )
    return found


def _build(peer: Peer, context: Path, *, change: bool = False) -> float:
    if change:
        (context / "7/7").write_bytes(os.urandom(1000))
    layers = ["--layers"] if peer.name == "podman" else []
    start = time.perf_counter()
    peer.run("build", "-q", *layers, str(context))
    return (time.perf_counter() - start) * 1e3


def _context(work: Path) -> Path:
    context = work / "context"
    for directory in range(DIRECTORIES):
        (context / str(directory)).mkdir(parents=True)
        for number in range(FILES):
            text = f"{directory} {number}\n".encode() * 80 + os.urandom(500)
            (context / f"{directory}/{number}").write_bytes(text)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /all/\n")
    return context
