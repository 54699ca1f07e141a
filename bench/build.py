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
_AFRESH = 3


def cold(peers: list[Peer], work: Path) -> dict[str, float]:
    context = _context(work)
    return {peer.name: _build(peer, context) for peer in peers if _builds(peer)}


def cached(peers: list[Peer], work: Path) -> dict[str, float]:
    return _medians(peers, work, change=False)


def changed(peers: list[Peer], work: Path) -> dict[str, float]:
    return _medians(peers, work, change=True)


def _builds(peer: Peer) -> bool:
    return peer.name in ("sampan", "podman")


def _medians(peers: list[Peer], work: Path, *, change: bool) -> dict[str, float]:
    context = _context(work)
    found = {}
    for peer in peers:
        if _builds(peer):
            _build(peer, context)  # warms the cache
            taken = [_build(peer, context, change=change) for _ in range(_AFRESH)]
            found[peer.name] = statistics.median(taken)
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
    if context.exists():
        return context
    for directory in range(DIRECTORIES):
        (context / str(directory)).mkdir(parents=True)
        for number in range(FILES):
            text = f"{directory} {number}\n".encode() * 80 + os.urandom(500)
            (context / f"{directory}/{number}").write_bytes(text)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /all/\n")
    return context
