"""Taking a request's connection over, Docker's way of attach and exec.

    answer = hijack.upgrade(call, content_type)      the 101 (or 200) has been sent
    answer.socket                                    the client's socket, ours to hand over

aiohttp parses HTTP, which would eat what a client sends after the request for an upgrade. So our
protocol looks at each such request first: what follows its body is kept aside
(`Hijacked.pending`) and reading stops until the connection is taken over or the request answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.dockerapi.router import Call

log = logging.getLogger("sampan.api")

CHUNK = 64 << 10
LARGEST_BODY = 64 << 20  # bytes of JSON; all 65,535 ports of a container are 4 MB
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
H2C = "h2c"  # HTTP/2 without TLS: BuildKit's gRPC
_NO_BODY = b"0\r\n\r\n"  # of a request whose body comes in chunks
_PATIENCE = 5.0  # seconds


class Protocol(RequestHandler):
    """aiohttp's protocol, which keeps back what follows a request for an upgrade."""

    __slots__ = ("_body_left", "_kept", "_streaming")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._kept: bytearray | None = None  # None: plain HTTP
        self._body_left = 0
        self._streaming: asyncio.Task[object] | None = None

    def streaming(self) -> None:
        """The present task writes a stream: it is cancelled when its client goes away.

        Tasks that help it by writing to it come later, and do not take its place.
        """
        if self._streaming is None:
            self._streaming = asyncio.current_task()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What a client sends that is no HTTP is its fault: a line, no traceback."""
        error = kw.get("exc_info")
        if isinstance(error, HttpProcessingError):
            log.info("a request that is no HTTP: %s", " ".join(str(error).split()))
        else:
            super().log_exception(*args, **kw)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        if self._kept is not None:
            self._feed_body(data)
            return
        upgrade = b"pgrade: tcp" in data or b"pgrade: h2c" in data
        head_end = data.find(b"\r\n\r\n") + 4 if upgrade else 0
        if head_end < 4:
            super().data_received(data)
            return
        self._kept = bytearray()
        self._body_left = _body_length(data[:head_end])
        super().data_received(data[:head_end])
        self._feed_body(data[head_end:])

    def _feed_body(self, data: bytes) -> None:
        assert self._kept is not None
        if self._body_left and data:
            body, data = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            super().data_received(body)
        self._kept += data
        if not self._body_left and self.transport is not None:
            self.transport.pause_reading()

    def take_kept(self) -> bytes:
        kept, self._kept = bytes(self._kept or b""), None
        return kept

    def give_up(self) -> None:
        """The request has been answered: what follows is HTTP again."""
        self._streaming = None
        if self._kept is not None:
            kept = self.take_kept()
            if self.transport is not None:
                self.transport.resume_reading()
            if kept:
                self.data_received(kept)


def _request(
    message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY
    )


class Server(web.Server):
    """aiohttp's low-level server with our protocol."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, request_factory=_request, **options)

    def __call__(self) -> RequestHandler:
        return Protocol(self, loop=self._loop, **self._kwargs)


class Gone(web.StreamResponse):
    """What a handler returns when the connection is no longer HTTP: nothing more is written."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    @property
    def prepared(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


class Hijacked(Gone):
    """The connection is ours now.

    `socket` is a duplicate of the client's socket (non-blocking, at a message boundary), `pending`
    what the client had sent already.
    """

    def __init__(self, sock: socket.socket, pending: bytes) -> None:
        super().__init__()
        self.socket, self.pending = sock, pending


async def upgrade(call: Call, content_type: str) -> Hijacked:
    """Docker's raw stream, the connection taken from aiohttp.

    `101 UPGRADED` where the client asked for an upgrade (Go accepts nothing else), else `200 OK`.
    """
    if call.request.headers.get("Upgrade"):
        head = (
            f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n"
    return await _take(call, head)


async def upgrade_to_h2c(call: Call) -> Hijacked:
    """What follows is HTTP/2. Raises InvalidArgument where the client asked for something else."""
    wanted = call.request.headers.get("Upgrade", "")
    if wanted.lower() != H2C:
        raise errors.InvalidArgument(
            f"{call.request.path} needs an upgrade to {H2C}, not {wanted!r}"
        )
    try:
        async with asyncio.timeout(_PATIENCE):
            await call.request.read()
    except TimeoutError:
        raise errors.InvalidArgument(f"{call.request.path} takes no body") from None
    head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {H2C}\r\n\r\n"
    return await _take(call, head)


async def _take(call: Call, head: str) -> Hijacked:
    """Send the answer's head and take the connection from aiohttp, without shutting it down."""
    request = call.request
    protocol, transport = request.protocol, request.transport
    if transport is None:
        raise ConnectionResetError("the client went away")
    transport.pause_reading()
    sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(sock, head.encode())
        pending = protocol.take_kept() if isinstance(protocol, Protocol) else b""
    except BaseException:
        sock.close()
        raise
    # Closes the transport's own descriptor and no more: selector transports never call shutdown(2)
    # there, so the connection lives on in the duplicate.
    transport.abort()
    return Hijacked(sock, pending)


def _body_length(head: bytes) -> int:
    """Of a request for an upgrade, as it is sent. node's streams to a container begin with the head
    of a body in chunks, and go on without one; before HTTP/2 such a body has its end."""
    pairs = (line.lower().partition(b":") for line in head.split(b"\r\n"))
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    length = fields.get(b"content-length", b"")
    if length.isdigit():
        return int(length)
    chunked = fields.get(b"transfer-encoding") == b"chunked"
    return len(_NO_BODY) if chunked and fields.get(b"upgrade") == H2C.encode() else 0
