"""gRPC over a connection that is already there: grpclib with our messages.

    service = Service(); service.unary("/pkg.Service/Method", REQUEST, REPLY, function)
    await serve(sock, pending, [service])       until the client goes away
    channel = await dial(sock, pending)         the other way round: we call
    reply = await channel.ask("/pkg.Service/Method", REQUEST, REPLY, {…})

Errors of the six kinds become gRPC's codes (`CODES`, one table). A connection that breaks the
protocol is closed; nothing else notices.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpclib.client
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase, StatusDetailsCodecBase
from grpclib.events import _DispatchServerEvents
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from grpclib.server import Handler as Requests
from h2.config import H2Configuration

from sampan.buildkit.inbox import Inbox, Splitter
from sampan.buildkit.messages import EMPTY, STATUS
from sampan.kit import errors

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from grpclib.server import Stream

    from sampan.buildkit.wire import Shape

    Message = dict[str, Any]
    Pairs = list[tuple[str, str]]
    Unary = Callable[["Stream[Message, Message]", Message], Awaitable[Message]]
    Streaming = Callable[["Stream[Message, Message]"], Awaitable[None]]

log = logging.getLogger("sampan.buildkit")
for _noisy in ("hpack", "h2"):  # they tell every header, credentials among them
    logging.getLogger(_noisy).setLevel(logging.INFO)

CODES: tuple[tuple[type[BaseException], Status], ...] = (
    (errors.NotFound, Status.NOT_FOUND),
    (errors.AlreadyExists, Status.ALREADY_EXISTS),
    (errors.Conflict, Status.FAILED_PRECONDITION),
    (errors.InvalidArgument, Status.INVALID_ARGUMENT),
    (errors.Unsupported, Status.UNIMPLEMENTED),
    (errors.Unavailable, Status.UNAVAILABLE),
)
_WINDOW = 4 << 20  # bytes that may come before the other side must wait


class SessionEnded(errors.Unavailable):
    def __init__(self) -> None:
        super().__init__("the client's session ended")


class Refused(errors.InvalidArgument):
    """What the other side answered instead of a reply; details are (type URL, value)."""

    def __init__(self, status: Status, message: str, details: Any = None) -> None:
        self.status, self.details = status, details or []
        super().__init__(message or status.name.lower())


class _Codec(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message: Message, message_type: Shape) -> bytes:
        return message_type.encode(message)

    def decode(self, data: bytes, message_type: Shape) -> Message:
        return message_type.decode(data)


class _Details(StatusDetailsCodecBase):
    """google.rpc.Status: details are pairs of a type's URL and its value."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        listed = [{"type_url": url, "value": value} for url, value in details]
        return STATUS.encode({"code": status.value, "message": message or "", "details": listed})

    def decode(self, status: Status, message: str | None, data: bytes) -> Any:
        return [(one["type_url"], one["value"]) for one in STATUS.decode(data)["details"]]


def as_grpc(error: errors.SampanError) -> GRPCError:
    status = next((code for kind, code in CODES if isinstance(error, kind)), Status.UNKNOWN)
    return GRPCError(status, "; ".join([str(error), *getattr(error, "__notes__", ())]))


class Service:
    """Methods by path."""

    def __init__(self) -> None:
        self.methods: dict[str, Handler] = {}

    def unary(self, path: str, request: Shape, reply: Shape, function: Unary) -> None:
        async def handle(stream: Stream[Message, Message]) -> None:
            message = await stream.recv_message()
            if message is not None:
                await stream.send_message(await function(stream, message))

        self._add(path, Cardinality.UNARY_UNARY, request, reply, handle)

    def streaming(self, path: str, request: Shape, reply: Shape, function: Streaming) -> None:
        self._add(path, Cardinality.STREAM_STREAM, request, reply, function)

    def _add(
        self, path: str, cardinality: Cardinality, request: Any, reply: Any, handle: Streaming
    ) -> None:
        async def guarded(stream: Stream[Message, Message]) -> None:
            try:
                await handle(stream)
            except errors.SampanError as error:
                raise as_grpc(error) from None

        self.methods[path] = Handler(guarded, cardinality, request, reply)


class _Methods(dict[str, Handler]):
    """Also of what is not there: grpclib's own answer to it is none that Go understands."""

    def get(self, path: str, default: Any = None) -> Any:
        return super().get(path) or Handler(_unknown, Cardinality.STREAM_STREAM, EMPTY, EMPTY)


async def _unknown(stream: Stream[Message, Message]) -> None:
    raise GRPCError(Status.UNIMPLEMENTED, "this method is not supported here")


class _Protocol(H2Protocol):
    """Knows when it is over, and ends with whatever breaks the protocol."""

    gone: asyncio.Event

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:  # h2 and hpack raise more than their own errors
            log.debug("a BuildKit connection broke the protocol: %r", error)
            self.processor.close("protocol error")

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.gone.set()


class _Calls(_Protocol):
    """The calling side, where streams may have inboxes."""

    splitter: Splitter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self.splitter = Splitter(super().data_received, transport.write, _WINDOW)

    def data_received(self, data: bytes) -> None:
        try:
            self.splitter.feed(data)
        except errors.InvalidArgument as error:
            log.debug("a BuildKit session broke the protocol: %s", error)
            self.processor.close("protocol error")


def _h2(client_side: bool) -> H2Configuration:
    return H2Configuration(
        client_side=client_side,
        header_encoding="ascii",
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )


async def _adopt(protocol: _Protocol, sock: socket.socket, pending: bytes) -> _Protocol:
    protocol.gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: protocol, sock)
    if pending:
        protocol.data_received(pending)
    return protocol


async def serve(sock: socket.socket, pending: bytes, services: Iterable[Service]) -> None:
    """Answer until the client goes away; requests under way are cancelled then."""
    methods = _Methods()
    for service in services:
        methods.update(service.methods)
    requests = Requests(methods, _Codec(), _Details(), _DispatchServerEvents())
    config = Configuration(
        http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW
    ).__for_server__()
    protocol = await _adopt(_Protocol(requests, config, _h2(False)), sock, pending)
    try:
        await protocol.gone.wait()
    finally:
        protocol.processor.close()
        await requests.wait_closed()


class Channel(grpclib.client.Channel):
    """Calls over one connection that is never made again."""

    def __init__(self) -> None:
        config = Configuration(
            http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW
        )
        super().__init__(codec=_Codec(), status_details_codec=_Details(), config=config)
        self.gone = asyncio.Event()

    async def adopt(self, sock: socket.socket, pending: bytes) -> None:
        protocol = _Calls(grpclib.client.Handler(), self._config, _h2(True))
        self._protocol = await _adopt(protocol, sock, pending)
        self.gone = protocol.gone

    async def _create_connection(self) -> H2Protocol:
        raise ConnectionError("the session ended")

    def open(
        self, path: str, request: Any, reply: Any, metadata: Pairs | None = None
    ) -> grpclib.client.Stream[Message, Message]:
        """A call with messages both ways; use it inside `translated`."""
        return self.request(
            path, Cardinality.STREAM_STREAM, request, reply, metadata=metadata or []
        )

    @contextmanager
    def inbox(
        self, stream: grpclib.client.Stream[Message, Message], deliver: Callable[[bytes], object]
    ) -> Iterator[Inbox]:
        """The bytes of all messages of a request that was just sent."""
        made = Inbox(deliver)
        assert isinstance(self._protocol, _Calls)
        number, inboxes = stream._stream.id, self._protocol.splitter.inboxes
        assert number is not None
        inboxes[number] = made
        try:
            yield made
        finally:
            del inboxes[number]
            made.failure.cancel()

    async def ask(
        self, path: str, request: Any, reply: Any, message: Message, metadata: Pairs | None = None
    ) -> Message:
        """One message, one reply. Raises Refused, SessionEnded."""
        with translated():
            async with self.request(
                path, Cardinality.UNARY_UNARY, request, reply, metadata=metadata or []
            ) as stream:
                await stream.send_message(message, end=True)
                answer: Message | None = await stream.recv_message()
        if answer is None:
            raise SessionEnded
        return answer


async def send_all(
    stream: grpclib.client.Stream[Message, Message], shape: Shape, many: Iterable[Message]
) -> None:
    """Several messages in as few frames as they fit into."""
    encoded = [shape.encode(message) for message in many]
    data = b"".join(b"\0" + len(one).to_bytes(4, "big") + one for one in encoded)
    if data:
        await stream._stream.send_data(data)


class translated:
    """grpclib's errors as ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, GRPCError):
            raise Refused(error.status, error.message or "", error.details) from None
        if isinstance(error, StreamTerminatedError | ConnectionError):
            raise SessionEnded from None


async def dial(sock: socket.socket, pending: bytes) -> Channel:
    channel = Channel()
    await channel.adopt(sock, pending)
    return channel
