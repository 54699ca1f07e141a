"""What happened, for whoever listens: Docker's event stream with its recent history.

    events.publish("container", "die", container_id, {"image": …, "name": …, "exitCode": "0"})
    async for event in events.listen(filters, since=…, until=…): …

An event is Docker's JSON message as a dictionary (with the legacy `status`, `id` and `from` of API
1.51). Publishing never waits: a listener that falls 4,096 events behind loses the oldest.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from sampan.kit import clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sampan.engine.filters import Filters

    Event = dict[str, Any]

HISTORY = 256  # as many as dockerd keeps
_BEHIND = 4096
FILTERS = (
    "container", "image", "volume", "network", "daemon", "event", "type", "label", "scope",
    "plugin", "service", "node", "secret", "config",
)  # fmt: skip


class Events:
    def __init__(self) -> None:
        self._history: deque[Event] = deque(maxlen=HISTORY)
        self._listeners: set[Listener] = set()

    def publish(
        self, type_: str, action: str, actor: str, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Tell everybody. `action` may carry a detail after a colon (`exec_start: ls`)."""
        now = time.time_ns()
        attributes = dict(attributes or {})
        event: Event = {}
        if type_ in ("container", "image"):
            event = {"status": action, "id": actor}
            if type_ == "container" and "image" in attributes:
                event["from"] = attributes["image"]
        event |= {
            "Type": type_,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": attributes},
            "scope": "local",
            "time": now // 1_000_000_000,
            "timeNano": now,
        }
        self._history.append(event)
        for listener in self._listeners:
            listener.offer(event)

    def subscribe(self, filters: Filters) -> Listener:
        """A listener that misses nothing from now on; close it."""
        listener = Listener(self, filters)
        self._listeners.add(listener)
        return listener

    async def listen(
        self, filters: Filters, *, since: int | None = None, until: int | None = None
    ) -> AsyncIterator[Event]:
        """Events that match; history first with `since`. Times in nanoseconds; ends at `until`."""
        with self.subscribe(filters) as listener:
            if since is not None or until is not None:
                for event in list(self._history):
                    after = since is None or event["timeNano"] >= since
                    before = until is None or event["timeNano"] <= until
                    if after and before and matches(event, filters):
                        yield event
            while (following := await listener.next(until)) is not None:
                yield following

    def forget(self, listener: Listener) -> None:
        self._listeners.discard(listener)


class Listener:
    def __init__(self, events: Events, filters: Filters) -> None:
        self._events, self._filters = events, filters
        self._queue: deque[Event] = deque(maxlen=_BEHIND)
        self._ready = asyncio.Event()

    def offer(self, event: Event) -> None:
        if matches(event, self._filters):
            self._queue.append(event)
            self._ready.set()

    async def next(self, until: int | None = None) -> Event | None:
        """The next event, or None once `until` (nanoseconds) has passed."""
        while not self._queue:
            self._ready.clear()
            left = None if until is None else (until - time.time_ns()) / 1e9
            if left is not None and left <= 0:
                return None
            try:
                async with asyncio.timeout(left):
                    await self._ready.wait()
            except TimeoutError:
                return None
        return self._queue.popleft()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.forget(self)


def matches(event: Event, filters: Filters) -> bool:
    """Docker's rules: values of one filter are alternatives, several filters must all hold."""
    if not filters:
        return True
    actor, type_ = event["Actor"], event["Type"]
    attributes = actor["Attributes"]
    action = event["Action"].partition(":")[0]
    if not (
        filters.exact("type", type_)
        and filters.exact("event", event["Action"], action)
        and filters.exact("scope", event["scope"])
        and filters.labels(attributes)
    ):
        return False
    for noun in ("container", "image", "volume", "network", "daemon"):
        if noun in filters and not _about(noun, type_, actor, filters):
            return False
    return True


def _about(noun: str, type_: str, actor: Mapping[str, Any], filters: Filters) -> bool:
    attributes = actor["Attributes"]
    if noun == "image":
        names = [actor["ID"] if type_ == "image" else "", attributes.get("name", "")]
        if type_ == "container":
            names = [attributes.get("image", "")]
        names += [name.rpartition(":")[0] for name in names]
        return type_ in ("image", "container") and filters.exact("image", *names)
    if type_ == noun:
        return filters.match(noun, actor["ID"], attributes.get("name", "")) or filters.prefix(
            noun, actor["ID"]
        )
    return False


def parse_time(text: str | None) -> int | None:
    """Docker's `since` and `until`: seconds with a fraction, or RFC 3339; as nanoseconds."""
    if not text:
        return None
    try:
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or "0")
    except ValueError:
        pass
    from sampan.kit import errors

    try:
        return clock.parse(text)
    except ValueError:
        raise errors.InvalidArgument(
            f'failed to parse value as time or duration: "{text}"'
        ) from None
