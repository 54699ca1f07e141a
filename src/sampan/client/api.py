"""One engine, as an object: calls, streams, and connections taken over.

Versions are agreed on without a round trip: requests carry the newest version this client knows;
an older engine answers 400 with the newest it knows, and the request is sent again with that one.
A request whose body is a stream cannot be sent twice, the answer to a HEAD cannot say why it is a
refusal: these two ask `/_ping` first.
"""

from __future__ import annotations

from sampan.client import address, errors, http, wirejson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Self

    from sampan.client import tunnel

    Query = Mapping[str, object] | None

API_VERSION = "1.51"
_TOO_NEW = "Maximum supported API version is "


class Client:
    """`call` for JSON answers, `stream` for long ones, `hijack` for attach and exec.

    Safe for one thread. Connections are kept and used again; a stream has its own.
    """

    def __init__(
        self,
        host: str,
        *,
        tls: tunnel.Tls | None = None,
        user_agent: str = "sampan",
        version: str = "",
    ) -> None:
        """`version`: the API's, not to be agreed on but spoken."""
        self.address = address.parse(host, tls)
        self.version = version or API_VERSION
        self._agreed = bool(version)
        self._user_agent = user_agent
        self._idle: list[http.Connection] = []
        self._open: list[http.Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()

    def open(self) -> None:
        """Connect now, so that an engine that does not run is noticed here (Unreachable)."""
        connection = http.Connection(address.connect(self.address))
        self._open.append(connection)
        self._idle.append(connection)

    def ping(self) -> Mapping[str, str]:
        """The headers of `/_ping`; agrees on the version. Raises Unreachable."""
        response = self._send("GET", "/_ping", {}, None)
        self._finish(response)
        if response.status >= 400:
            raise errors.from_answer(response.status, response.reason, b"")
        self._agree(response.headers.get("api-version", API_VERSION))
        return response.headers

    def call(
        self,
        method: str,
        path: str,
        query: Query = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a JSON body (or none) and return the JSON answer; None where it is empty."""
        response = self.stream(method, path, query, body, headers)
        data = self._finish(response)
        if not data.strip():
            return None
        if not response.headers.get("content-type", "").startswith("application/json"):
            return data.decode("utf-8", "replace")
        try:
            return wirejson.loads(data)
        except ValueError as error:
            raise errors.BrokenAnswer(f"{method} {path}: {error}") from error

    def stream(
        self,
        method: str,
        path: str,
        query: Query = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.Response:
        """Send a request; the answer's body is left to the caller.

        `body`: bytes, an iterable of bytes (sent in chunks), or anything with a JSON form.
        """
        fields = dict(headers or {})
        data = _encode(body, fields)
        streamed = not (data is None or isinstance(data, bytes))
        if (streamed or method == "HEAD") and not self._agreed:
            self.ping()  # these could not learn from a refusal
        target = _target(path, query)
        response = self._send(method, f"/v{self.version}{target}", fields, data)
        if response.status == 400 and not self._agreed:
            answer = self._finish(response)
            if not self._downgrade(answer):
                raise errors.from_answer(response.status, response.reason, answer)
            response = self._send(method, f"/v{self.version}{target}", fields, data)
        if response.status >= 400:
            answer = self._finish(response)
            raise errors.from_answer(response.status, response.reason, answer)
        self._agreed = True
        return response

    def messages(self, response: http.Response) -> Iterator[Any]:
        """A stream of JSON documents, one a line, each as soon as it is there."""
        for line in response.lines():
            if line.strip():
                yield wirejson.loads(line)
        self.release(response)

    def hijack(self, path: str, query: Query = None, body: object = None) -> http.Hijacked:
        """POST with `Upgrade: tcp`: the connection, once the engine has let go of it."""
        fields = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.stream("POST", path, query, body, fields)
        if response.status != 101:
            response.close()
            raise errors.BrokenAnswer(
                f"the engine answered {response.status} where 101 was expected, to POST {path}"
            )
        return http.Hijacked(response)

    def release(self, response: http.Response) -> None:
        """Keep a connection whose answer was read to its end; close another."""
        connection = response.connection
        if response.done and connection.reusable and response.status != 101:
            if connection not in self._idle:
                self._idle.append(connection)
        else:
            connection.close()

    def _finish(self, response: http.Response) -> bytes:
        data = response.read()
        self.release(response)
        return data

    def _agree(self, offered: str) -> None:
        if not self._agreed and _number(offered) < _number(self.version):
            self.version = offered
        self._agreed = True

    def _downgrade(self, answer: bytes) -> bool:
        _, found, rest = answer.decode("utf-8", "replace").partition(_TOO_NEW)
        version = rest.strip('"}\r\n ').split(" ")[0].strip('".,}')
        if not found or not version.replace(".", "").isdecimal():
            return False
        self._agree(version)
        return True

    def _send(
        self, method: str, target: str, fields: Mapping[str, str], body: http.Body
    ) -> http.Response:
        headers = {"Host": "docker", "User-Agent": self._user_agent, **fields}
        while self._idle:
            connection = self._idle.pop()
            # One that the engine has closed meanwhile is noticed before the request is sent:
            # to send it again afterwards could do twice what should be done once.
            if not connection.ended:
                return connection.request(method, target, headers, body)
            connection.close()
        connection = http.Connection(address.connect(self.address))
        self._open.append(connection)
        return connection.request(method, target, headers, body)


def _encode(body: object, fields: dict[str, str]) -> http.Body:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, dict | list | str):
        fields.setdefault("Content-Type", "application/json")
        return wirejson.dumps(body).encode()
    fields.setdefault("Content-Type", "application/x-tar")
    return body  # type: ignore[return-value]  # an iterable of bytes, by contract


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _target(path: str, query: Query) -> str:
    """Path and query, percent-encoded; None leaves a parameter out, lists repeat it."""
    pairs = []
    for name, value in (query or {}).items():
        for item in value if isinstance(value, list) else [value]:
            if item is None or item is False:
                continue
            if isinstance(item, dict):
                item = wirejson.dumps(item)
            pairs.append(f"{name}={quote('1' if item is True else str(item))}")
    return quote(path, "/:") + ("?" + "&".join(pairs) if pairs else "")


_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quote(text: str, safe: str = "") -> str:
    """Percent-encode (RFC 3986) all but unreserved characters and those in `safe`."""
    allowed = _SAFE | set(safe.encode()) if safe else _SAFE
    return "".join(
        chr(byte) if byte in allowed else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
