"""`remote=upload-request`: a build whose context comes in a second request's body.

docker 18.09 to 20.10 sends a tar on stdin so. Either request may come first; the one with the body
is answered when the build has read it. Source: moby builder/builder-next/builder.go.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REMOTE = "upload-request"
PREFIX = f"{REMOTE}:"  # of the `buildid` of the request with the body; the build's own id follows
_PATIENCE = 5.0  # seconds that one waits for the other


class _Upload:
    def __init__(self) -> None:
        self.given: asyncio.Future[AsyncIterator[bytes]] = asyncio.Future()
        self.taken, self.read = asyncio.Event(), asyncio.Event()


class Uploads:
    def __init__(self) -> None:
        self._known: defaultdict[str, _Upload] = defaultdict(_Upload)

    async def give(self, build: str, body: AsyncIterator[bytes]) -> None:
        """Back when the build has read it. Raises NotFound where none asks for it."""
        upload = self._known[build]
        if upload.given.done():
            raise errors.Conflict(f"the context of build {build} is here already")
        upload.given.set_result(body)
        try:
            async with asyncio.timeout(_PATIENCE):
                await upload.taken.wait()
            await upload.read.wait()
        except TimeoutError:
            raise errors.NotFound(f"no build {build} waits for its context") from None
        finally:
            self._known.pop(build, None)

    async def take(self, build: str) -> AsyncIterator[bytes]:
        """Raises NotFound where no request brings it."""
        upload = self._known[build]
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await asyncio.shield(upload.given)
        except TimeoutError:
            self._known.pop(build, None)
            raise errors.NotFound(f"the context of build {build} did not come") from None
        upload.taken.set()
        try:
            async for chunk in body:
                yield chunk
        finally:
            upload.read.set()
