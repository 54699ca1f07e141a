"""An iterator that works ahead of who reads it, in a thread of its own.

Worth it where its work lets go of the interpreter's lock, as inflating does.
"""

from __future__ import annotations

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_AHEAD = 8  # chunks


def ahead(chunks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """The same chunks, and the same error at its place. Closing it ends the thread."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def run() -> None:
        end: BaseException | None = None
        try:
            for chunk in chunks:
                ready.put(chunk)
                if given_up.is_set():
                    return
        except BaseException as error:  # raised where it is read
            end = error
        ready.put(end)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while isinstance(item := ready.get(), bytes):
            yield item
        if item is not None:
            raise item
    finally:
        given_up.set()
        while thread.is_alive():
            _drain(ready)
            thread.join(0.001)


def _drain(ready: queue.Queue[bytes | BaseException | None]) -> None:
    try:
        while True:
            ready.get_nowait()
    except queue.Empty:
        pass
