"""Docker's routes: an optional version, then a path whose names may hold slashes.

    routes = Routes()

    @routes.get("/images/{name:.*}/json")
    async def inspect(call: Call) -> web.StreamResponse:
        return call.json(…)

A handler gets a `Call`: the engine, the request, its API version and the path's parameters. Raised
errors of the six kinds become Docker's `{"message": …}` in `app`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import web

from sampan.dockerapi import shapes
from sampan.engine.filters import Filters
from sampan.kit import errors
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable

    from sampan.engine.engine import Engine

    Handler = Callable[["Call"], Awaitable[web.StreamResponse]]

MINIMUM, MAXIMUM = (1, 24), (1, 51)
DOCKER_VERSION = "28.0.0"  # what clients compare with; our own stands in /version's components
HEADERS = {
    "Server": f"Docker/{DOCKER_VERSION} (linux)",
    "Api-Version": f"{MAXIMUM[0]}.{MAXIMUM[1]}",
    "Ostype": "linux",
}
_VERSION = re.compile(r"/v([0-9]+)\.([0-9]+)(/.*)")
_FALSE = {"", "0", "no", "false", "none"}
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def headers_of(engine: Engine) -> dict[str, str]:
    """Of every answer. docker's own program checkpoints only with an experimental engine."""
    experimental = "true" if engine.settings["experimental"] else "false"
    return {**HEADERS, "Docker-Experimental": experimental}


def to_json(value: Any) -> bytes:
    """Compact UTF-8 with a newline, as Docker's encoder writes it."""
    return _encoder.encode(value).encode("utf-8", "surrogateescape") + b"\n"


class Call:
    """One request: what a handler needs, and the ways to answer."""

    def __init__(
        self,
        engine: Engine,
        request: web.BaseRequest,
        version: tuple[int, int],
        parameters: dict[str, str],
    ) -> None:
        self.engine, self.request = engine, request
        self.version, self.parameters = version, parameters

    def __getitem__(self, name: str) -> str:
        """A parameter of the path."""
        return self.parameters[name]

    def query(self, name: str, default: str = "") -> str:
        return shapes.text(self.request.query.get(name, default), name)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean of the query; docker-py writes `True`, Go `1`."""
        value = self.request.query.get(name)
        return default if value is None else value.strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        value = self.request.query.get(name)
        if value is None or value == "":
            return default
        try:
            found: int = shapes.check(int(value), shapes.WHOLE, name)
        except ValueError:
            raise errors.InvalidArgument(f'invalid {name}: "{value}" is no number') from None
        return found

    def document(self, name: str, shape: Any) -> Any:
        """A parameter of the query that is JSON of that shape; None where it is not given."""
        text = self.query(name)
        return shapes.parse(text, shape, name) if text else None

    def platform(self, *, several: bool = False) -> str:
        """`linux/arm64`, or the JSON object that newer clients send, as text; or nothing.

        `several`: there may be more of them, with commas.
        """
        text = self.query("platform")
        if several and not text.startswith("{"):
            return ",".join(_platform(one.strip(), "platform") for one in text.split(","))
        return _platform(text, "platform")

    def platforms(self) -> list[str]:
        """Those of `platforms`, each as `platform`."""
        return [_platform(text, "platforms") for text in self.request.query.getall("platforms", [])]

    def filters(self) -> Filters:
        return Filters.parse(self.request.query.get("filters"))

    async def body(self, shape: dict[str, Any] | shapes.Each) -> dict[str, Any]:
        """The JSON body, an object of that shape (`shapes`); an empty one is `{}`."""
        raw = await self.request.read()
        if not raw.strip():
            return {}
        self._must_be_json()
        found: dict[str, Any] = shapes.parse(raw, shape) or {}
        return found

    def _must_be_json(self) -> None:
        """A page of somebody else's makes browsers send forms and plain text, never this."""
        given = self.request.headers.get("Content-Type", "")
        if given.partition(";")[0].strip().lower() != "application/json":
            raise errors.InvalidArgument(
                f"unsupported Content-Type header ({given}): must be 'application/json'"
            )

    def json(
        self, value: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> web.Response:
        return web.Response(
            body=to_json(value), status=status, headers=headers, content_type="application/json"
        )

    def empty(self, status: int = 204, *, note: str = "") -> web.Response:
        """`note`: a sentence for the user, as a Warning header (RFC 7234 5.5)."""
        quoted = note.replace("\\", "\\\\").replace('"', '\\"')
        headers = {"Warning": f'299 sampan "{quoted}"'} if note else None
        return web.Response(status=status, headers=headers)

    async def tar(
        self, chunks: AsyncIterable[bytes], headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """A tar while it is made. The head is sent with its first bytes, so that what fails before
        them has its status."""
        rest = aiter(chunks)
        first = await anext(rest, b"")
        response = await self.stream("application/x-tar", headers)
        await response.write(first)
        async for chunk in rest:
            await response.write(chunk)
        await response.write_eof()
        return response

    async def stream(
        self, content_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> web.StreamResponse:
        """A chunked answer whose head is sent at once; the body follows by `write`."""
        response = web.StreamResponse(
            headers={"Content-Type": content_type, **headers_of(self.engine), **(headers or {})}
        )
        if self.request.version >= (1, 1):
            response.enable_chunked_encoding()
        await response.prepare(self.request)
        self.request[BEGUN] = True
        streaming = getattr(self.request.protocol, "streaming", None)
        if streaming is not None:
            streaming()
        return response


BEGUN = "begun"  # among a request's notes: its answer's head is out


def _platform(text: str, name: str) -> str:
    if text.startswith("{"):
        found = shapes.parse(text, shapes.PLATFORM, name)
        words = [found.get(word) or "" for word in ("os", "architecture", "variant")]
        text = "/".join(words).rstrip("/")
    if text:
        oci_image.parse_platform(text)  # what is none is refused before anything is done
    return text


class Routes:
    """A group of routes; `merge` puts groups together."""

    def __init__(self) -> None:
        self._table: dict[str, list[tuple[re.Pattern[str], Handler]]] = {}

    def add(self, methods: Iterable[str], path: str) -> Callable[[Handler], Handler]:
        pattern = re.compile(
            re.sub(r"\{(\w+)(?::([^}]+))?\}", lambda m: f"(?P<{m[1]}>{m[2] or '[^/]+'})", path)
        )

        def register(handler: Handler) -> Handler:
            for method in methods:
                self._table.setdefault(f"{method} {_group(path)}", []).append((pattern, handler))
            return handler

        return register

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(("GET",), path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(("POST",), path)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(("PUT",), path)

    def head(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(("HEAD",), path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        return self.add(("DELETE",), path)

    def merge(self, *others: Routes) -> None:
        for other in others:
            for key, entries in other._table.items():
                self._table.setdefault(key, []).extend(entries)

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The first route that fits, with its parameters decoded."""
        for pattern, handler in self._table.get(f"{method} {_group(path)}", ()):
            if match := pattern.fullmatch(path):
                named = match.groupdict()
                return handler, {k: shapes.text(unquote(v), k) for k, v in named.items()}
        return None


def _group(path: str) -> str:
    """The first segment of a path, by which routes are looked up."""
    return path.split("/", 2)[1] if "/" in path else path


def split_version(path: str) -> tuple[tuple[int, int], str]:
    """`/v1.43/info` → (1, 43), `/info`; without a version, the newest. Refuses others' versions."""
    match = _VERSION.fullmatch(path)
    if match is None:
        return MAXIMUM, path
    version = int(match[1]), int(match[2])
    asked = f"{version[0]}.{version[1]}"
    if version > MAXIMUM:
        raise errors.InvalidArgument(
            f"client version {asked} is too new. Maximum supported API version is "
            f"{MAXIMUM[0]}.{MAXIMUM[1]}"
        )
    if version < MINIMUM:
        raise errors.InvalidArgument(
            f"client version {asked} is too old. Minimum supported API version is "
            f"{MINIMUM[0]}.{MINIMUM[1]}, please upgrade your client to a newer version"
        )
    return version, match[3]
