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
