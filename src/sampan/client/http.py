"""HTTP/1.1 on one connection, by hand: RFC 9112 as far as an engine speaks it.

A connection carries one exchange after another. Bodies go out with a length or in chunks, and
come in with a length, in chunks, or until the end. A `101` ends HTTP: what follows are bytes in
both directions (`Hijacked`), each of which is closed by itself.
"""

from __future__ import annotations

import _socket
import select

from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Body = bytes | Iterable[bytes] | None

MAX_HEAD = 1 << 18
BUFFER = 1 << 16
_UNTIL_END = -1  # body length: everything until the peer closes
_CHUNKED = -2


class Connection:
    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self._buffer = b""
        self.reusable = True

    @property
    def buffered(self) -> bool:
        return bool(self._buffer)

    @property
    def ended(self) -> bool:
        """The peer has closed it, or sent what nobody asked for."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.reusable = False
        self.sock.close()

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: Body = None
    ) -> Response:
        """Send a request and read the head of its answer; the body is read as it is used."""
        fields = dict(headers)
        if isinstance(body, bytes):
            fields["Content-Length"] = str(len(body))
        elif body is not None:
            fields["Transfer-Encoding"] = "chunked"
        elif method in ("POST", "PUT"):
            fields["Content-Length"] = "0"
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        head = "\r\n".join(lines).encode()
        try:
            if isinstance(body, bytes):
                self.sock.sendall(head + body)
            else:
                self.sock.sendall(head)
                if body is not None:
                    self._send_chunks(body)
        except (BrokenPipeError, ConnectionResetError):
            # A server may refuse a body early; its answer is then there to be read.
            self.reusable = False
        return self._read_response(method)

    def _send_chunks(self, body: Iterable[bytes]) -> None:
        for chunk in body:
            if chunk:
                self.sock.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self.sock.sendall(b"0\r\n\r\n")

    def _read_response(self, method: str) -> Response:
        while True:
            status, reason, headers = self._read_head()
            if status >= 200 or status == 101:
                break
        if headers.get("connection", "").lower() == "close":
            self.reusable = False
        return Response(self, status, reason, headers, _body_length(method, status, headers))

    def _read_head(self) -> tuple[int, str, dict[str, str]]:
        end = self._buffer.find(b"\r\n\r\n")
        while end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise errors.BrokenAnswer(f"the answer's head is longer than {MAX_HEAD} bytes")
            data = self.receive(BUFFER)
            if not data:
                raise errors.BrokenAnswer("the engine closed the connection without an answer")
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + 4 :]
        version, _, rest = first.partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not code.isdecimal():
            raise errors.BrokenAnswer(f"this is no HTTP answer: {first[:60]!r}")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(code), reason, headers

    def receive(self, size: int) -> bytes:
        """Bytes from the socket; empty at its end."""
        try:
            return self.sock.recv(size)
        except ConnectionResetError:
            return b""

    def take(self, size: int) -> bytes:
        """Up to `size` bytes, those that were read ahead first; empty at the end."""
        if self._buffer:
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        return self.receive(size)

    def take_line(self) -> bytes:
        """A line without its end, for chunk sizes and trailers."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            data = self.receive(BUFFER)
            if not data or len(self._buffer) > MAX_HEAD:
                raise errors.BrokenAnswer("the engine closed the connection in mid-answer")
            self._buffer += data
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line

    def take_rest(self) -> bytes:
        """What was read beyond the head of a `101`."""
        data, self._buffer = self._buffer, b""
        return data


def _body_length(method: str, status: int, headers: Mapping[str, str]) -> int:
    if method == "HEAD" or status in (101, 204, 304):
        return 0
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _CHUNKED
    length = headers.get("content-length", "")
    if not length:
        return _UNTIL_END
    if not length.isdecimal():
        raise errors.BrokenAnswer(f"the answer's length is {length!r}")
    return int(length)


class Response:
    """An answer: `status`, `headers` (names in lower case), and a body that is read once."""

    def __init__(
        self, connection: Connection, status: int, reason: str, headers: dict[str, str], length: int
    ) -> None:
        self.connection = connection
        self.status = status
        self.reason = reason
        self.headers = headers
        self._left = 0 if length == _CHUNKED else length
        self._chunked = length == _CHUNKED
        self.done = length == 0

    @property
    def pending(self) -> bool:
        """Bytes of the body are here already: they make no descriptor readable."""
        return self.connection.buffered

    def fileno(self) -> int:
        return self.connection.sock.fileno()

    def read(self) -> bytes:
        """The rest of the body."""
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        """The body in pieces, as they come."""
        while piece := self.read_some():
            yield piece

    def read_some(self, size: int = BUFFER) -> bytes:
        """The next piece of the body, at most `size` bytes; empty at its end."""
        if self.done:
            return b""
        if self._chunked and self._left == 0 and not self._next_chunk():
            return b""
        data = self.connection.take(size if self._left == _UNTIL_END else min(size, self._left))
        if self._left == _UNTIL_END:
            self.done = not data
            self.connection.reusable = False
            return data
        if not data:
            raise errors.BrokenAnswer("the engine closed the connection in mid-answer")
        self._left -= len(data)
        if self._left == 0:
            if self._chunked:
                self.connection.take_line()  # each chunk ends with a line end
            else:
                self.done = True
        return data

    def _next_chunk(self) -> bool:
        line = self.connection.take_line().partition(b";")[0].strip()
        try:
            self._left = int(line, 16)
        except ValueError:
            raise errors.BrokenAnswer(f"{line[:20]!r} is no chunk size") from None
        if self._left:
            return True
        while self.connection.take_line():
            pass  # trailers
        self.done = True
        return False

    def lines(self) -> Iterator[bytes]:
        """The body by lines, each as soon as it is whole."""
        rest = b""
        for piece in self:
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def close(self) -> None:
        """Give up the rest of the body; the connection can then not be used again."""
        if not self.done:
            self.connection.close()


class Hijacked:
    """A connection after its `101`: raw bytes both ways, with a half-close."""

    def __init__(self, response: Response) -> None:
        self.headers = response.headers
        self.sock = response.connection.sock
        self._early = response.connection.take_rest()

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def pending(self) -> bool:
        """Bytes that came with the head: they make no descriptor readable."""
        return bool(self._early)

    def receive(self, size: int = BUFFER) -> bytes:
        """Bytes, as soon as there are some; empty when the engine is done."""
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        try:
            return self.sock.recv(size)
        except ConnectionResetError:
            return b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close_write(self) -> None:
        """Tell the engine that no more input comes; its output goes on."""
        try:
            self.sock.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # it has closed its side already

    def close(self) -> None:
        self.sock.close()
