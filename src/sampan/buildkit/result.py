"""What a frontend was asked for: read at once, built when it is needed, and only once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from sampan.build import cache_options, checks, dockerfile
from sampan.build.errors import DockerfileError
from sampan.buildkit import (
    cache_store,
    credentials,
    frontend,
    grpc,
    inputs,
    providers,
    source,
    steps,
)
from sampan.engine import builds
from sampan.engine.builds import contexts, scratch
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from sampan.build import solve
    from sampan.build.cache_options import Export, Import
    from sampan.build.files import Files
    from sampan.build.state import State
    from sampan.buildkit.jobs import Job, Jobs
    from sampan.buildkit.sessions import Session
    from sampan.engine.builds.cache_places import Place
    from sampan.engine.engine import Engine
    from sampan.registry.auth import Credentials
    from sampan.spec.oci_image import Platform

    Message = dict[str, Any]


class Returned(Exception):
    """The client itself says that its build failed: it gets that back."""

    def __init__(self, status: Message) -> None:
        self.status = status
        super().__init__(status["message"])


async def prepare(jobs: Jobs, job: Job, name: str, attributes: Mapping[str, str]) -> Result:
    """Read the Dockerfile. Raises what is wrong with it, or with the request."""
    asked = frontend.asked(name, attributes)
    session = await jobs.sessions.get(job.session)
    place = await in_thread(job.held.enter_context, scratch.directory(jobs.engine.paths.root))
    given = inputs.Inputs(jobs.engine.paths.root, session, asked, job)
    job.held.callback(given.close)
    uploaded = None
    if asked.remote:
        uploaded = await given.remote(place)
    if uploaded is not None and not asked.apart:
        text = contexts.dockerfile(uploaded, asked.filename)
    else:
        text = await given.dockerfile()
    made = Result(jobs.engine, job, session, asked, given, text, place)
    made.uploaded = uploaded
    with made.explained():
        made.file = dockerfile.parse(text)
    return made


class Result:
    def __init__(
        self,
        engine: Engine,
        job: Job,
        session: Session,
        asked: frontend.Asked,
        given: inputs.Inputs,
        text: str,
        place: str,
    ) -> None:
        self.engine, self.job, self.session, self.asked = engine, job, session, asked
        self.text = text
        self.uploaded: Files | None = None
        self.file: dockerfile.Dockerfile
        self.lease = job.held.enter_context(engine.images.lease("build"))
        self._given = given
        self._work: asyncio.Task[builds.Outcome] | None = None
        self._steps: list[steps.Steps] = []
        self._loop = asyncio.get_running_loop()
        self.options = asked.options.replace(
            allowed=job.allowed,
            imports=tuple(dict.fromkeys((*job.imports, *asked.options.imports))),
            exports=job.exports,
            provenance=job.provenance,
            secrets=providers.Secrets(session),
            agents=providers.Agents(session),
        )
        self.workshop = _Workshop(engine, self.lease, place, self.options, _quiet)
        self.workshop.session = session

    def request(self) -> solve.Request:
        """What the solver is to do; raises what is wrong with the Dockerfile."""
        matcher = self._given.ignored
        if self.uploaded is not None:
            matcher = contexts.ignored(self.uploaded, self.asked.filename)
            context = contexts.visible(self.uploaded, matcher)
        else:
            context = inputs.Later(self._fetch(self.asked.context))
        named = {name: self._named(value) for name, value in self.asked.contexts.items()}
        request = builds.request_of(self.text, context, self.options)
        return request.replace(ignored=matcher, contexts=named)

    def _named(self, value: str | frontend.Local | frontend.Remote) -> str | Files:
        if isinstance(value, frontend.Local):
            return inputs.Later(self._fetch(value.name))
        if isinstance(value, frontend.Remote):
            place = self.workshop.scratch
            return inputs.Later(lambda: contexts.remote_named(value.address, place))
        return value

    def _fetch(self, name: str) -> Callable[[], Files]:
        """From a thread: the client's directory of that name."""
        return lambda: asyncio.run_coroutine_threadsafe(
            self._given.context(name), self._loop
        ).result()

    async def outcome(self) -> builds.Outcome:
        """Build it, or wait until it is built."""
        if self._work is None:
            self._work = asyncio.create_task(self._build())
        return await asyncio.shield(self._work)

    @asynccontextmanager
    async def tell(self, title: str) -> AsyncIterator[None]:
        with self.job.progress.vertex(title):
            yield

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        await in_thread(self._given.save)

    async def _build(self) -> builds.Outcome:
        with self.explained():
            try:
                outcome = await builds.solved(
                    self.request(), self.workshop, self.options, self._told, self.tell
                )
            except BaseException as error:
                if isinstance(error, checks.Violations) and self._steps:
                    self._steps[-1].warn(error.warnings)
                cancelled = isinstance(error, asyncio.CancelledError)
                self._end_all("context canceled" if cancelled else steps.said(error))
                raise
        self._end_all()
        return outcome

    def _told(self, platform: Platform) -> steps.Steps:
        shown = str(platform) if "," in self.options.platform else ""
        made = steps.Steps(self.file, self.job.progress, self._loop, self._describe, shown)
        self._steps.append(made)
        return made

    def _end_all(self, error: str = "") -> None:
        for one in self._steps:
            one.end_all(error)

    def _describe(self, line: int, end: int) -> Message:
        """A warning's place."""
        info = {
            "filename": self.asked.filename,
            "data": source.encoded(self.text),
            "language": "Dockerfile",
        }
        return {"info": info, "ranges": [source.span(line, end)]} if line else {"info": info}

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors get the lines they are about."""
        try:
            yield
        except DockerfileError as error:
            raise self._failure(steps.said(error), error.line, error.end) from error
        except errors.SampanError as error:
            places = (one.failed[error] for one in self._steps if error in one.failed)
            raise self._failure(steps.said(error), *next(places, (0, 0))) from error

    def _failure(self, text: str, line: int, end: int) -> GRPCError:
        about = source.detail(self.asked.filename, self.text, line, end)
        return GRPCError(Status.UNKNOWN, text, [about] if line else [])


class _Workshop(builds.Workshop):
    """The engine's; who we are at a registry the client knows, and its directories are its own."""

    session: Session

    async def place(self, wanted: Import | Export) -> Place:
        if wanted.type == "local":
            digest = wanted.digest if isinstance(wanted, cache_options.Import) else ""
            return cache_store.Directory(self.session, f"{cache_store.LOCAL}{wanted.place}", digest)
        return await super().place(wanted)

    async def _base(self, name: str, platform: str) -> State:
        if not name.startswith(frontend.LAYOUT):
            return await super()._base(name, platform)
        place = name.removeprefix(frontend.LAYOUT)
        return self._state(await cache_store.image(self.session, self.lease.store, place, platform))

    async def _credentials(self, name: str) -> Credentials | None:
        return await credentials.ask(self.session, name)


async def _quiet(message: Message) -> None:
    """Pulls are not shown yet."""


@contextmanager
def explained(job: Job) -> Iterator[None]:
    """What the client said itself goes back as it came; the rest as grpc's codes."""
    try:
        yield
    except Returned as error:
        status = error.status
        details = [(one["type_url"], one["value"]) for one in status["details"]]
        raise GRPCError(Status(status["code"]), status["message"], details) from None
    except errors.SampanError as error:
        raise GRPCError(Status.UNKNOWN, grpc.as_grpc(error).message) from error
