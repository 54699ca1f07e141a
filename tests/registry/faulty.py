"""A registry that misbehaves as it is told, in the test's own loop.

async with Faulty(store) as server:
    server.cut = 1000        break the first answer for a blob after so many bytes
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

from sampan.registry.store import MemoryStore
from sampan.spec import oci_image


class Faulty:
    def __init__(self, store: MemoryStore, *, tls: ssl.SSLContext | None = None) -> None:
        self.store, self._tls = store, tls
        self.names: dict[str, str] = {}  # tag → digest
        self.requests: list[web.Request] = []
        self.cut: int | None = None  # bytes of the next blob before the connection breaks
        self.stall: int | None = None  # bytes of the next blob after which nothing more comes
        self.gate: Callable[[web.Request, int], Awaitable[None]] | None = None  # in the middle
        self.warnings: list[str] = []  # Warning headers of every answer
        self.ranges = True
        self.etag = '"one"'
        self.wrong: dict[str, bytes] = {}  # digest → what is sent instead
        self.refusals: list[tuple[int, dict[str, str]]] = []  # answered first, in order
        self.redirect = ""  # where blobs are
        self.token = ""  # what Authorization must be
        self.challenge = ""
        self.cut_upload: list[int] = []  # bytes of the next bodies before the connection breaks
        self.late: list[bytes] = []  # what an upload still writes when it has said how much it has
        self.out_of_step = (416, "")  # status and code for a body that does not go on there
        self.largest_put: int | None = None
        self.uploaded: dict[str, bytearray] = {}
        self.tokens_asked: list[web.Request] = []
        self.token_answer: dict = {"token": "good", "expires_in": 300}
        self.token_forms: list[dict[str, str]] = []

    async def __aenter__(self) -> Faulty:
        app = web.Application(client_max_size=1 << 30)
        app.on_response_prepare.append(self._warn)
        app.router.add_route("*", "/token", self._token)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _warn(self, request: web.Request, response: web.StreamResponse) -> None:
        for text in self.warnings:
            response.headers.add("Warning", text)

    def seen(self, method: str, part: str) -> list[web.Request]:
        return [r for r in self.requests if r.method == method and part in r.path]

    async def _token(self, request: web.Request) -> web.Response:
        self.tokens_asked.append(request)
        self.token_forms.append(dict(await request.post()))
        if "error" in self.token_answer:
            return web.json_response({"details": "incorrect username or password"}, status=401)
        return web.json_response(self.token_answer)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return web.Response(status=status, headers=headers, text="not now")
        if self.token and request.headers.get("Authorization") != self.token:
            document = {"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}
            return web.json_response(
                document, status=401, headers={"WWW-Authenticate": self.challenge}
            )
        path = request.path
        if "/manifests/" in path and request.method in ("GET", "HEAD"):
            return self._manifest(path.rpartition("/")[2])
        if "/blobs/uploads/" in path:
            return await self._upload(request)
        if "/blobs/" in path:
            return await self._blob(request, path.rpartition("/")[2])
        if request.method == "PUT":
            data = await request.read()
            self.names[path.rpartition("/")[2]] = self.store.add(data)
            return web.Response(status=201)
        return web.Response(status=200 if path == "/v2/" else 404)

    def _manifest(self, name: str) -> web.Response:
        digest = self.names.get(name, name)
        if digest not in self.store:
            document = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
            return web.json_response(document, status=404)
        data = self.wrong.get(digest, self.store.blobs[digest])
        try:
            kind = json.loads(data).get("mediaType", oci_image.MANIFEST)
        except ValueError:
            kind = oci_image.MANIFEST
        headers = {"Docker-Content-Digest": digest, "Content-Type": kind}
        return web.Response(body=data, headers=headers)

    async def _blob(self, request: web.Request, digest: str) -> web.StreamResponse:
        if digest not in self.store:
            return web.Response(status=404)
        if self.redirect:
            raise web.HTTPTemporaryRedirect(f"{self.redirect}/v2/x/blobs/{digest}")
        data = self.wrong.get(digest, self.store.blobs[digest])
        wanted, start, status, size = request.headers.get("Range", ""), 0, 200, len(data)
        if wanted and self.ranges and request.headers.get("If-Range", self.etag) == self.etag:
            first, _, last = wanted[6:].partition("-")
            start, status = int(first), 206
            data = data[: int(last) + 1] if last else data
        headers = {"Content-Length": str(len(data) - start), "ETag": self.etag}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{size}"
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if self.cut is not None and request.method == "GET":
            await response.write(data[start : start + self.cut])
            self.cut = None
            assert request.transport is not None
            request.transport.close()
            return response
        if self.stall is not None and request.method == "GET":
            await response.write(data[start : start + self.stall])
            self.stall = None
            await asyncio.Event().wait()  # until the client has gone
        if request.method == "GET":
            middle = (start + len(data)) // 2 if self.gate else start
            await response.write(data[start:middle])
            if self.gate:
                await self.gate(request, start)
            await response.write(data[middle:])
        await response.write_eof()
        return response

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            name = str(len(self.requests))
            self.uploaded[name] = bytearray()
            here = f"http://{self.address}/v2/x/blobs/uploads/{name}?state=1"
            return web.Response(status=202, headers={"Location": here})
        name = request.path.rpartition("/")[2]
        if name not in self.uploaded:
            return web.Response(status=404)
        session = self.uploaded[name]
        headers = {"Location": str(request.url), "Range": f"0-{max(len(session) - 1, 0)}"}
        if request.method == "GET":
            session += self.late.pop(0) if self.late else b""
            return web.Response(status=204, headers=headers)
        if request.headers.get("Content-Range", f"{len(session)}-").partition("-")[0] != str(
            len(session)
        ):
            status, code = self.out_of_step
            document = {"errors": [{"code": code}]} if code else {}
            return web.json_response(document, status=status, headers=headers)
        if self.cut_upload and request.content_length:
            session += await request.content.readexactly(self.cut_upload.pop(0))
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        data = await request.read()
        if self.largest_put is not None and len(data) > self.largest_put:
            return web.Response(status=413)
        session += data
        if request.method == "PATCH":
            headers["Range"] = f"0-{len(session) - 1}"
            return web.Response(status=202, headers=headers)
        self.store.add(bytes(session))
        del self.uploaded[name]
        return web.Response(status=201)
