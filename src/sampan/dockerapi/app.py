"""Docker's HTTP API on a unix socket, over one `Engine`.

    server = Server(engine)
    server.listen()             before the engine starts: what cannot be had ends it without a trace
    await server.start()        answers at `run/sampan.sock` and where the settings say
    await server.stop()

Every answer carries Docker's headers; an error is `{"message": …}` with the status of its kind
(`STATUS`, one table). aiohttp's low-level server is used with a router of our own: the path decides
in one look-up, and a request's connection can be taken over (`hijack`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp import web

from sampan.dockerapi import hijack, listeners, metrics, routes
from sampan.dockerapi.router import BEGUN, Call, headers_of, split_version, to_json
from sampan.engine import errors as nouns
from sampan.kit import errors
from sampan.network import errors as network_errors

if TYPE_CHECKING:
    import socket

    from sampan.dockerapi import tls
    from sampan.engine.engine import Engine

log = logging.getLogger("sampan.api")

STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (nouns.NotModified, 304),
    (nouns.NotPermitted, 403),
    (network_errors.NoSubnet, 403),
    (nouns.NotImplementedHere, 501),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.InvalidArgument, 400),
    (errors.Unsupported, 400),
    (errors.Unavailable, 503),
)


def status_of(error: BaseException) -> int:
    if isinstance(error, nouns.StartFailed):  # what the user typed, or what the host lacks
        if error.exit_code in (126, 127):  # a command that is not there is no missing object
            return 400
        return 404 if isinstance(error.__cause__, errors.NotFound) else 500
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


class Server:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._routes = routes.all_routes()
        self._runner: web.ServerRunner | None = None
        self._metrics: web.ServerRunner | None = None
        self._fronts: list[tls.Front] = []
        self._listeners: list[listeners.Listener] = []
        self._metrics_socket: socket.socket | None = None
        self.made: list[str] = []  # what to remove when no engine shall be found any more

    def listen(self) -> None:
        """At every place that the settings name, or at none of them (CannotListen)."""
        settings = self._engine.settings
        path = self._engine.paths.api_socket
        self._listeners, ours = listeners.open_all(path, settings)
        self.made = [path] if ours else []
        if settings["metrics-addr"]:
            self._metrics_socket = listeners.plain(settings["metrics-addr"])

    async def start(self) -> None:
        """Answer; who came since `listen` has waited."""
        self._runner = web.ServerRunner(
            hijack.Server(self._handle, access_log=None), handle_signals=False, shutdown_timeout=2
        )
        await self._runner.setup()
        for sock, context in self._listeners:
            if context is None:
                await web.SockSite(self._runner, sock).start()
            else:
                from sampan.dockerapi import tls

                assert self._runner.server is not None
                self._fronts.append(tls.Front(sock, context, self._runner.server))

        if self._metrics_socket is not None:
            self._metrics = web.ServerRunner(web.Server(metrics.handler(self._engine)))
            await self._metrics.setup()
            await web.SockSite(self._metrics, self._metrics_socket).start()

    async def stop(self) -> None:
        for front in self._fronts:
            await front.close()
        for runner in (self._runner, self._metrics):
            if runner:
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._answer(request)
        except errors.SampanError as error:
            response = self._error(request, error, status_of(error))
        except ConnectionError:
            response = hijack.Gone()  # the client went away while it was being answered
        except asyncio.CancelledError:
            if request.transport is not None:
                raise
            response = hijack.Gone()
        except Exception as error:
            log.exception("%s %s", request.method, request.path_qs)
            response = self._error(request, error, 500)
        if not response.prepared:
            response.headers.update(headers_of(self._engine))
        if isinstance(request.protocol, hijack.Protocol):
            request.protocol.give_up()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        version, path = split_version(request.rel_url.raw_path)
        found = self._routes.find(request.method, path)
        if found is None:
            return _json_error("page not found", 404)
        handler, parameters = found
        return await handler(Call(self._engine, request, version, parameters))

    def _error(
        self, request: web.BaseRequest, error: BaseException, status: int
    ) -> web.StreamResponse:
        message = "; ".join([str(error) or repr(error), *getattr(error, "__notes__", ())])
        log.debug("%s %s: %s %s", request.method, request.path_qs, status, message)
        if request.get(BEGUN):
            return hijack.Gone()  # the body has no end, by which the client knows
        if status == 304:
            return web.Response(status=304)
        return _json_error(message, status)


def _json_error(message: str, status: int) -> web.Response:
    return web.Response(
        body=to_json({"message": message}), status=status, content_type="application/json"
    )
