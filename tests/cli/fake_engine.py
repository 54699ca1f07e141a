"""An HTTP server on a Unix socket that answers from a table and keeps what it was asked.

Not a mock of the engine: the other end of the wire, for what a request looks like and for answers
that a real engine gives only when it is broken. One thread a connection, all ended by `close`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

API_VERSION = "1.51"


class Request(NamedTuple):
    method: str
    path: str  # without the version
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class FakeEngine:
    """`answers`: "METHOD /path" → (status, body): bytes, a JSON value, or a list of chunks."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers: dict[str, tuple[int, Any]] = {
            "POST /containers/create": (201, {"Id": "c0ffee", "Warnings": []}),
            "GET /version": (200, {"ApiVersion": API_VERSION, "Version": "28.2.2"}),
        }
        # "METHOD /path" → what to do with the connection instead; it is closed afterwards.
        self.takeovers: dict[str, Callable[[socket.socket, Request], None]] = {}
        self.requests: list[Request] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def asked(self, what: str) -> list[Request]:
        """The requests of "METHOD /path"."""
        return [r for r in self.requests if f"{r.method} {r.path}" == what]

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self._threads:
            thread.join(5)
        os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock.makefile("rb") as file:
                while (request := self._read(file)) is not None:
                    self.requests.append(request)
                    takeover = self.takeovers.get(f"{request.method} {request.path}")
                    if takeover is not None:
                        takeover(sock, request)
                        return
                    self._answer(sock, request)
        except OSError:
            pass
        finally:
            sock.close()

    def _read(self, file: Any) -> Request | None:
        line = file.readline()
        if not line:
            return None
        method, target, _ = line.decode().split()
        headers: dict[str, str] = {}
        while (header := file.readline().strip().decode()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        if "content-length" in headers:
            body = file.read(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(file.readline() or b"0", 16):
                body += file.read(size)
                file.readline()
            file.readline()
        path, _, query = target.partition("?")
        if path.startswith("/v1."):
            path = "/" + path.split("/", 2)[2]
        return Request(method, path, query, headers, body)

    def _answer(self, sock: socket.socket, request: Request) -> None:
        status, body = self.answers.get(f"{request.method} {request.path}", (200, {}))
        head = [f"HTTP/1.1 {status} Status", f"Api-Version: {API_VERSION}", "Ostype: linux"]
        if isinstance(body, list) and body and isinstance(body[0], bytes):
            head += ["Transfer-Encoding: chunked", "Content-Type: application/json"]
            data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
        else:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            head += [f"Content-Length: {len(data)}", "Content-Type: application/json"]
        if request.method == "HEAD":
            data = b""
        sock.sendall("\r\n".join([*head, "", ""]).encode() + data)
