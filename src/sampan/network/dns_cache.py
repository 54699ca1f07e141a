"""Answers from elsewhere, kept as long as they say and given out with the time that is left.

A key is all of a query but its id, so that nobody gets an answer to another question, to other
flags or EDNS options, or in other letters (0x20). Pure: the caller says what time it is.
"""

from __future__ import annotations

from sampan.network import dns_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

_MOST = 512  # answers; 150 KB or so of the usual ones


class Cache:
    def __init__(self, most: int = _MOST) -> None:
        self._kept: dict[Hashable, tuple[float, bytes, dns_message.Lifetime]] = {}
        self._most = most

    def get(self, key: Hashable, now: float) -> bytes | None:
        """The answer, its TTLs smaller by the seconds since it came; its id is the asker's to set.

        `now` in seconds of a monotonic clock.
        """
        found = self._kept.get(key)
        if found is None:
            return None
        came, reply, lifetime = found
        age = int(now - came)
        if age >= lifetime.seconds:
            del self._kept[key]
            return None
        return dns_message.aged(reply, lifetime.offsets, age)

    def put(self, key: Hashable, reply: bytes, now: float) -> None:
        lifetime = dns_message.lifetime(reply)
        if lifetime is None or lifetime.seconds == 0:
            return
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[key] = (now, reply, lifetime)
