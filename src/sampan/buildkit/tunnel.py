"""`Control.Session`: a session inside a gRPC call, for clients that speak gRPC alone (`buildctl`).

Its messages are the bytes of a connection on which we call the client, as on `POST /session`. The
call's metadata are what that request has as headers. Source: moby/buildkit session/grpchijack.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from sampan.buildkit import sessions

if TYPE_CHECKING:
    from grpclib.server import Stream

    Message = dict[str, Any]
    Call = Stream[Message, Message]

_PIECE = 32 << 10  # bytes of a message, as theirs


async def hold(call: Call, known: sessions.Sessions) -> None:
    """Until the client ends the call. Raises InvalidArgument, Conflict."""
    headers = [(name, str(value)) for name, value in (call.metadata or {}).items()]
    methods = [value for name, value in headers if name == sessions.METHOD.lower()]
    said = sessions.hello(dict(headers), methods)
    known.check(said)
    await call.send_initial_metadata()
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    work = [
        asyncio.create_task(one)
        for one in (known.hold(ours, b"", said), _in(call, writer), _out(call, reader))
    ]
    try:
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
    finally:
        writer.close()  # with which the session ends
        for one in work[1:]:
            one.cancel()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        await asyncio.gather(*work, return_exceptions=True)


async def _in(call: Call, writer: asyncio.StreamWriter) -> None:
    while (message := await call.recv_message()) is not None:
        writer.write(message["data"])
        await writer.drain()


async def _out(call: Call, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(_PIECE):
        await call.send_message({"data": data})
