"""What a layer's diff_id is compared with, and hashing beside the work.

hashlib lets go of the interpreter's lock, so files are written meanwhile.
"""

from __future__ import annotations

import hashlib
import queue
import threading

from sampan.image.content.store import algorithm_of

_BEHIND = 8  # chunks


def hasher(expected: str | None) -> hashlib._Hash:
    """For bytes that should be `expected`. Raises InvalidArgument, UnknownAlgorithm."""
    return hashlib.new(algorithm_of(expected))


def digest(done: hashlib._Hash) -> str:
    return f"{done.name}:{done.hexdigest()}"


class Beside:
    """Feeds a digest from a thread of its own; `finish` must be called, and waits for the rest."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest = digest
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_BEHIND)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def update(self, chunk: bytes) -> None:
        self._waiting.put(chunk)

    def finish(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            self._digest.update(chunk)
