"""What a client is told of a build: vertices, their states and their output.

    progress = Progress()
    with progress.vertex("[internal] load build context") as vertex:
        vertex.status("transferring context:", current=1024)
        vertex.log(1, b"hello\\n")
    progress.finish()
    async for message in progress.follow(): …      from the beginning, until finished

A vertex that is left by an error says so. Output beyond a limit is cut, as BuildKit does.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    Message = dict[str, Any]

_LOG_LIMIT = 2 << 20  # bytes of one vertex
_BATCH = 256  # parts of one message


def timestamp(nanoseconds: int = 0) -> Message:
    """google.protobuf.Timestamp; now, unless said otherwise."""
    seconds, nanos = divmod(nanoseconds or time.time_ns(), 10**9)
    return {"seconds": seconds, "nanos": nanos}


class Progress:
    def __init__(self, title: str = "") -> None:
        self._title = title  # keeps the digests of two builds apart
        self._told: list[tuple[str, Message]] = []
        self._more = asyncio.Event()
        self._finished = False
        self._count, self._first = 0, ""
        self._warned: set[bytes] = set()

    def vertex(self, name: str, inputs: tuple[str, ...] = ()) -> Vertex:
        self._count += 1
        digest = hashlib.sha256(f"{self._title}\0{self._count}\0{name}".encode()).hexdigest()
        self._first = self._first or f"sha256:{digest}"
        return Vertex(self, f"sha256:{digest}", name, inputs)

    def warn(self, warning: Message) -> None:
        """Of no vertex more than of another: the first one's, which clients want named. Once, if
        several platforms give it."""
        if warning["short"] in self._warned:
            return
        self._warned.add(warning["short"])
        self.tell("warnings", {"vertex": self._first, **warning})

    def tell(self, kind: str, part: Message) -> None:
        self._told.append((kind, part))
        self._more.set()

    def finish(self) -> None:
        self._finished = True
        self._more.set()

    async def follow(self) -> AsyncIterator[Message]:
        """StatusResponse messages; any number of followers."""
        at = 0
        while True:
            while at < len(self._told):
                message: Message = {}
                for kind, part in self._told[at : at + _BATCH]:
                    message.setdefault(kind, []).append(part)
                at = min(at + _BATCH, len(self._told))
                yield message
            if self._finished:
                return
            self._more.clear()
            await self._more.wait()


class Vertex:
    def __init__(self, progress: Progress, digest: str, name: str, inputs: tuple[str, ...]) -> None:
        self.digest, self.name = digest, name
        self._progress = progress
        self._state: Message = {"digest": digest, "name": name, "inputs": inputs}
        self._statuses: dict[str, Message] = {}
        self._logged = 0

    def __enter__(self) -> Self:
        self._state["started"] = timestamp()
        self._tell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        text = str(error) or kind.__name__ if error is not None and kind else ""
        if isinstance(error, asyncio.CancelledError):
            text = "context canceled"
        self.end(text)

    def end(self, error: str = "") -> None:
        if "completed" in self._state:
            return
        for name in [name for name, status in self._statuses.items() if "completed" not in status]:
            self.status(name, done=True)
        self._state["completed"] = timestamp()
        self._state["error"] = error
        self._tell()

    def cached(self) -> None:
        self._state["cached"] = True

    def status(self, name: str, *, current: int = 0, total: int = 0, done: bool = False) -> None:
        status = self._statuses.setdefault(
            name, {"ID": name, "vertex": self.digest, "name": name, "started": timestamp()}
        )
        status["current"] = max(current, status.get("current", 0))
        status["total"] = total or status.get("total", 0)
        status["timestamp"] = timestamp()
        if done:
            status["completed"] = status["timestamp"]
        self._progress.tell("statuses", dict(status))

    def log(self, stream: int, data: bytes) -> None:
        if self._logged > _LOG_LIMIT:
            return
        self._logged += len(data)
        if self._logged > _LOG_LIMIT:
            data = b"[output clipped, log limit 2MiB reached]\n"
        line = {"vertex": self.digest, "timestamp": timestamp(), "stream": stream, "msg": data}
        self._progress.tell("logs", line)

    def _tell(self) -> None:
        self._progress.tell("vertexes", dict(self._state))
