import asyncio
import time

import pytest

from sampan.engine.events import Events, parse_time
from sampan.engine.filters import Filters
from sampan.kit import errors


def collect(events: Events, filters: Filters, **times: int) -> list[str]:
    async def body() -> list[str]:
        return [e["Action"] async for e in events.listen(filters, **times)]

    return asyncio.run(body())


def published() -> Events:
    events = Events()
    about = {"image": "busybox", "name": "web", "tier": "front"}
    events.publish("container", "create", "abc", about)
    events.publish("container", "exec_start: ls -l", "abc", about)
    events.publish("network", "connect", "net1", {"container": "abc", "name": "bridge"})
    events.publish("container", "die", "other", {"image": "debian", "name": "db", "exitCode": "3"})
    return events


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["create", "exec_start: ls -l", "connect", "die"]),
        ({"type": ["network"]}, ["connect"]),
        ({"event": ["exec_start"]}, ["exec_start: ls -l"]),
        ({"container": ["web"]}, ["create", "exec_start: ls -l"]),
        ({"container": ["abc"]}, ["create", "exec_start: ls -l"]),
        ({"image": ["debian"]}, ["die"]),
        ({"label": ["tier=front"]}, ["create", "exec_start: ls -l"]),
        ({"container": ["web", "db"], "event": ["die"]}, ["die"]),
    ],
)
def test_history_is_filtered_as_docker_does(
    filters: dict[str, list[str]], expected: list[str]
) -> None:
    assert collect(published(), Filters(filters), since=0, until=time.time_ns()) == expected


def test_a_container_event_has_the_legacy_fields() -> None:
    events = published()

    async def first() -> dict[str, object]:
        async for event in events.listen(Filters(), since=0):
            return event
        raise AssertionError

    event = asyncio.run(first())
    assert (event["status"], event["id"], event["from"]) == ("create", "abc", "busybox")


def test_what_happens_while_listening_arrives_and_until_ends_it() -> None:
    events = Events()

    async def body() -> list[str]:
        listener = events.subscribe(Filters({"event": ["die"]}))
        events.publish("container", "start", "abc")
        events.publish("container", "die", "abc")
        with listener:
            first = await listener.next()
            assert first is not None
            last = await listener.next(until=time.time_ns() + 1_000_000)
            assert last is None
            return [first["Action"]]

    assert asyncio.run(body()) == ["die"]


def test_times_of_clients() -> None:
    assert parse_time("1700000000.5") == 1_700_000_000_500_000_000
    assert parse_time("1970-01-01T00:00:01Z") == 1_000_000_000
    assert parse_time("") is None
    with pytest.raises(errors.InvalidArgument):
        parse_time("yesterday")
