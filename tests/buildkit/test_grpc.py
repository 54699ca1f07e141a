"""gRPC over a connection that is there: errors keep their code, broken bytes end one connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib.const import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.buildkit import grpc, messages
from sampan.buildkit.inbox import Inbox, Splitter
from sampan.kit import errors

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def echo(_: Any, message: grpc.Message) -> grpc.Message:
    if message["Ref"] == "missing":
        raise errors.NotFound("there is none")
    return message


def service() -> grpc.Service:
    made = grpc.Service()
    made.unary("/t.T/Echo", messages.REF_REQUEST, messages.REF_REQUEST, echo)
    return made


@contextlib.asynccontextmanager
async def both() -> AsyncIterator[tuple[grpc.Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    serving = asyncio.create_task(grpc.serve(theirs, b"", [service()]))
    channel = await grpc.dial(ours, b"")
    try:
        yield channel, ours
    finally:
        channel.close()
        await serving


async def ask(channel: grpc.Channel, path: str, ref: str) -> grpc.Message:
    shape = messages.REF_REQUEST
    return await channel.ask(path, shape, shape, {"Ref": ref})


def test_a_reply_an_error_and_what_is_not_there() -> None:
    async def work() -> None:
        async with both() as (channel, _):
            assert await ask(channel, "/t.T/Echo", "é" * 70000) == {"Ref": "é" * 70000}
            with pytest.raises(grpc.Refused, match="there is none") as refused:
                await ask(channel, "/t.T/Echo", "missing")
            assert refused.value.status is Status.NOT_FOUND
            with pytest.raises(grpc.Refused, match="not supported here") as refused:
                await ask(channel, "/t.T/Other", "x")
            assert refused.value.status is Status.UNIMPLEMENTED
            malformed = messages.SECRET  # its field 1 is text: a number is no text
            with pytest.raises(grpc.Refused, match="Ref has wire type 0"):
                await channel.ask("/t.T/Echo", messages.STATUS, malformed, {"code": 7})
            assert await ask(channel, "/t.T/Echo", "still") == {"Ref": "still"}
        with pytest.raises(grpc.SessionEnded):
            await ask(channel, "/t.T/Echo", "late")

    asyncio.run(work())


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_broken_bytes_end_their_connection_and_nothing_else(junk: bytes, preface: bool) -> None:
    async def work() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        serving = asyncio.create_task(grpc.serve(theirs, b"", [service()]))
        with ours:
            ours.sendall((PREFACE if preface else b"") + junk)
            ours.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(20):
                await serving
        async with both() as (channel, _):
            assert await ask(channel, "/t.T/Echo", "x") == {"Ref": "x"}

    asyncio.run(work())


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 4, 6]),  # DATA, HEADERS, SETTINGS, PING
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([1, 3]),
        st.binary(max_size=30),
    )
)


@settings(deadline=None)
@given(FRAMES, st.lists(st.integers(1, 40)))
def test_only_plain_data_of_streams_with_an_inbox_passes_h2(
    frames: list[tuple[int, int, int, bytes]], cuts: list[int]
) -> None:
    """However the bytes are cut, the inbox and h2 each get theirs, in their order."""

    def bytes_of(kind: int, flags: int, stream: int, body: bytes) -> bytes:
        return (
            len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body
        )

    async def work() -> None:
        slow, taken = bytearray(), bytearray()
        splitter = Splitter(slow.extend, lambda _: None, 1 << 20)
        box = splitter.inboxes[3] = Inbox(taken.extend)
        box.feed = taken.extend  # type: ignore[method-assign]
        wire = b"".join(bytes_of(*frame) for frame in frames)
        for cut in [*cuts, len(wire)]:
            splitter.feed(wire[:cut])
            wire = wire[cut:]
        mine = [frame for frame in frames if frame[:3] == (0, 0, 3)]
        others = [frame for frame in frames if frame[:3] != (0, 0, 3)]
        assert bytes(taken) == b"".join(body for *_, body in mine)
        assert bytes(slow) == b"".join(bytes_of(*frame) for frame in others)

    asyncio.run(work())


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 30)))
def test_messages_are_put_together_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    async def work() -> None:
        got: list[bytes] = []
        box = Inbox(got.append)
        wire = b"".join(b"\0" + len(one).to_bytes(4, "big") + one for one in sent)
        for cut in [*cuts, len(wire)]:
            box.feed(wire[:cut])
            wire = wire[cut:]
        assert got == sent
        box.failure.cancel()

    asyncio.run(work())


def test_the_other_side_may_send_on_when_half_its_window_is_used() -> None:
    async def work() -> None:
        told = bytearray()
        splitter = Splitter(bytes, told.extend, 100)
        splitter.inboxes[3] = Inbox(lambda _: None)
        frame = b"\0\0\x14\0\0\0\0\0\x03" + bytes(20)
        splitter.feed(frame * 2)
        assert not told
        splitter.feed(frame)
        update = b"\0\0\x04\x08\0"
        assert bytes(told) == b"".join(
            update + stream.to_bytes(4, "big") + (60).to_bytes(4, "big") for stream in (0, 3)
        )
        with pytest.raises(errors.InvalidArgument, match="frame of 65536 bytes"):
            splitter.feed(b"\1\0\0\0\0\0\0\0\3")

    asyncio.run(work())
