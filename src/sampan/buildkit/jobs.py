"""Builds under way, by the ref that their client chose.

A client that drives a build itself (buildx, compose) opens a job with `Control.Solve`, asks for its
frontend through the bridge and says with `Return` which result the job is to have: until then
Solve waits. Whoever asks for the status may come a moment before the job, or after its end.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from sampan.buildkit.progress import Progress
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.build.cache_options import Export, Import
    from sampan.build.provenance import Wanted
    from sampan.buildkit.result import Result
    from sampan.buildkit.sessions import Sessions
    from sampan.engine.engine import Engine

_PATIENCE = 6.0  # seconds that a status request waits for its job
_MEMORY = 10.0  # seconds that an ended job's status can be asked for


class NoSuchJob(errors.NotFound):
    def __init__(self, ref: str) -> None:
        super().__init__(f"no such job {ref}")


class Job:
    def __init__(self, ref: str, session: str) -> None:
        self.ref, self.session = ref, session
        self.progress = Progress(ref)
        self.returned: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.results: dict[str, Result] = {}
        self.allowed: frozenset[str] = frozenset()  # entitlements
        self.imports: tuple[Import, ...] = ()  # of the cache, beside those that a frontend names
        self.exports: tuple[Export, ...] = ()
        self.provenance: Wanted | None = None
        self.upload: AsyncIterator[bytes] | None = None  # the context, where the request brings it
        self.held = ExitStack()  # until the job ends

    def add(self, result: Result) -> str:
        """The name by which the client will speak of it."""
        name = f"{self.ref}-{len(self.results)}"
        self.results[name] = result
        return name

    def result(self, name: str) -> Result:
        try:
            return self.results[name]
        except KeyError:
            raise errors.NotFound(f"no such ref: {name}") from None


class Jobs:
    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine, self.sessions = engine, sessions
        self._known: dict[str, Job] = {}
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def open(self, ref: str, session: str) -> AsyncIterator[Job]:
        if not ref:
            raise errors.InvalidArgument("a build needs a ref")
        if ref in self._known:
            raise errors.Conflict(f"job ID {ref} exists")
        job = self._known[ref] = Job(ref, session)
        async with self._changed:
            self._changed.notify_all()
        try:
            yield job
        finally:
            # grpclib cancels the request of a client that is gone twice: not what cleans up.
            await asyncio.shield(self.engine.spawn(self._clean(job), f"end of build {ref}"))

    async def _clean(self, job: Job) -> None:
        await asyncio.gather(*(r.stop() for r in job.results.values()), return_exceptions=True)
        job.held.close()
        job.progress.finish()
        job.returned.cancel()
        asyncio.get_running_loop().call_later(_MEMORY, self._known.pop, job.ref, None)

    async def get(self, ref: str) -> Job:
        """Raises NoSuchJob."""
        try:
            async with asyncio.timeout(_PATIENCE), self._changed:
                await self._changed.wait_for(lambda: ref in self._known)
        except TimeoutError:
            raise NoSuchJob(ref) from None
        return self._known[ref]
