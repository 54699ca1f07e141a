"""Docker's progress streams: one JSON object a line, errors included once the answer has begun.

    async with Progress(call) as report:
        await report({"status": "Pulling from library/busybox", "id": "latest"})
    return report.response

An error before the first line is an ordinary error answer with its status; after it, the last line
is `{"errorDetail": …, "error": …}`, because the status 200 is already on its way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from sampan.dockerapi.router import to_json
from sampan.kit import errors

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web

    from sampan.dockerapi.router import Call

log = logging.getLogger("sampan.api")


class Progress:
    """`always`: an error is a line of the stream even when it is the first (`docker load`)."""

    def __init__(self, call: Call, *, quiet: bool = False, always: bool = False) -> None:
        self._call, self._quiet, self._always = call, quiet, always
        self._response: web.StreamResponse | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __call__(self, message: dict[str, Any]) -> None:
        """Send one line; a quiet stream leaves out the bars, not the results."""
        if self._quiet and "progressDetail" in message:
            return
        response = await self._begin()
        await response.write(to_json(message))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        if error is None or (self._response is None and not self._always):
            return False
        if not isinstance(error, errors.SampanError | OSError):
            return False
        if isinstance(error, ConnectionError):
            return False  # the client went away
        text = str(error)
        log.info("%s %s: %s", self._call.request.method, self._call.request.path, text)
        response = await self._begin()
        detail: dict[str, Any] = {"message": text}
        if isinstance(code := getattr(error, "code", None), int):
            detail["code"] = code
        await response.write(to_json({"errorDetail": detail, "error": text}))
        return True

    async def finish(self) -> web.StreamResponse:
        response = await self._begin()
        await response.write_eof()
        return response

    async def _begin(self) -> web.StreamResponse:
        if self._response is None:
            self._response = await self._call.stream("application/json")
        return self._response
