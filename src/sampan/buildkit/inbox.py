"""A stream's messages, handed over as their bytes come, past h2's and grpclib's machinery.

A context of 40,000 files is as many messages; each would cost five times what reading it does. So
the frames of a stream that has an inbox are looked at here: plain DATA frames go to the inbox, all
others to h2, in their order. h2 knows nothing of what it did not see, so that flow control for
it is here, too (RFC 9113, sections 4.1, 5.2, 6.1 and 6.9).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD = 9  # bytes of a frame's head
_DATA, _WINDOW_UPDATE = 0, 8
_LARGEST_FRAME = 1 << 14  # SETTINGS_MAX_FRAME_SIZE, which we leave as it is
_LARGEST_MESSAGE = 16 << 20


class Inbox:
    """`deliver` gets each message's bytes; what it raises is `failure`."""

    def __init__(self, deliver: Callable[[bytes], object]) -> None:
        self._deliver = deliver
        self._rest = b""
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def feed(self, data: bytes) -> None:
        if self.failure.done():
            return
        try:
            self._split(self._rest + data if self._rest else data)
        except (errors.SampanError, OSError) as error:
            self.failure.set_exception(error)

    def _split(self, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= 5:
            size = int.from_bytes(data[at + 1 : at + 5], "big")
            if data[at] or size > _LARGEST_MESSAGE:
                raise errors.InvalidArgument("a gRPC message that is compressed or too large")
            if at + 5 + size > end:
                break
            self._deliver(data[at + 5 : at + 5 + size])
            at += 5 + size
        self._rest = data[at:]


class Splitter:
    """`slow` takes whole frames for h2; `write` sends what flow control has to say."""

    def __init__(
        self, slow: Callable[[bytes], object], write: Callable[[bytes], object], window: int
    ) -> None:
        self._slow, self._write = slow, write
        self._half = window // 2
        self._rest = b""
        self._taken: dict[int, int] = {}  # by stream, bytes that were not acknowledged yet
        self.inboxes: dict[int, Inbox] = {}

    def feed(self, data: bytes) -> None:
        """Raises InvalidArgument for a frame of a size that nobody may send."""
        data = self._rest + data if self._rest else data
        at = done = 0
        while len(data) - at >= _HEAD:
            size = int.from_bytes(data[at : at + 3], "big")
            if size > _LARGEST_FRAME:
                raise errors.InvalidArgument(f"an HTTP/2 frame of {size} bytes")
            end = at + _HEAD + size
            if end > len(data):
                break
            stream = int.from_bytes(data[at + 5 : at + _HEAD], "big")
            if stream in self.inboxes and data[at + 3] == _DATA and not data[at + 4]:
                if done < at:
                    self._slow(data[done:at])
                self._take(stream, data[at + _HEAD : end])
                done = end
            at = end
        if done < at:
            self._slow(data[done:at])
        self._rest = data[at:]

    def _take(self, stream: int, data: bytes) -> None:
        self.inboxes[stream].feed(data)
        for place in (0, stream):
            taken = self._taken.get(place, 0) + len(data)
            if taken >= self._half:
                head = bytes((0, 0, 4, _WINDOW_UPDATE, 0)) + place.to_bytes(4, "big")
                self._write(head + taken.to_bytes(4, "big"))
                taken = 0
            self._taken[place] = taken
