"""What a frontend was asked for: read at once, built when it is needed, and only once.

Errors go to the client with what BuildKit's clients print: the text, and the Dockerfile's lines as
a detail of the gRPC status (`github.com/moby/buildkit/errdefs.Source+json`).
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from sampan.build import dockerfile, running
from sampan.build.errors import DockerfileError
from sampan.buildkit import frontend, grpc, inputs, steps
from sampan.engine import building
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.build.files import Context, Files
    from sampan.build.state import State
    from sampan.buildkit.jobs import Job, Jobs
    from sampan.buildkit.sessions import Session
    from sampan.engine.engine import Engine
    from sampan.engine.images.leases import Lease

    Message = dict[str, Any]

_SOURCE = "github.com/moby/buildkit/errdefs.Source+json"


class Returned(Exception):
    """The client itself says that its build failed: it gets that back."""

    def __init__(self, status: Message) -> None:
        self.status = status
        super().__init__(status["message"])


async def prepare(jobs: Jobs, job: Job, name: str, attributes: Mapping[str, str]) -> Result:
    """Read the Dockerfile. Raises what is wrong with it, or with the request."""
    asked = frontend.asked(name, attributes)
    session = await jobs.sessions.get(job.session)
    given = inputs.Inputs(jobs.engine.paths.root, session, asked, job.progress)
    job.held.callback(given.close)
    uploaded = None
    if asked.remote:
        if not asked.context.startswith(frontend.UPLOAD):
            raise errors.Unsupported(f"a remote context ({asked.context}) is not supported yet")
        uploaded = await given.upload()
        text = building.dockerfile_of(uploaded, asked.filename)
    else:
        text = await given.dockerfile()
    made = Result(jobs.engine, job, session, asked, given, text)
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
    ) -> None:
        self.engine, self.job, self.session, self.asked = engine, job, session, asked
        self._given, self._text = given, text
        self.uploaded: Context | None = None
        self.file: dockerfile.Dockerfile
        self.lease: Lease = job.held.enter_context(self.engine.images.lease("build"))
        self._work: asyncio.Task[State] | None = None
        self._steps: steps.Steps | None = None
        self._workshop = _Workshop(
            engine, self.lease, asyncio.get_running_loop(), asked.options, _quiet
        )

    def tree(self, state: State) -> Files:
        """The files of a built state. Blocking."""
        return self._workshop.tree(state)

    async def state(self) -> State:
        """Build it, or wait until it is built."""
        if self._work is None:
            self._work = asyncio.create_task(self._build())
        return await asyncio.shield(self._work)

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _build(self) -> State:
        loop = asyncio.get_running_loop()

        def fetch() -> Context:
            return asyncio.run_coroutine_threadsafe(self._given.context(), loop).result()

        context = self.uploaded or inputs.Later(fetch)
        told = self._steps = steps.Steps(self.file, self.job.progress)
        self._workshop.steps = told
        with self.explained():
            try:
                request = building.request_of(self._text, context, self.asked.options)
                state = await building.solved(request, self._workshop)
            except BaseException as error:
                cancelled = isinstance(error, asyncio.CancelledError)
                told.end("context canceled" if cancelled else said(error))
                raise
        told.end()
        return state

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors get the lines they are about."""
        try:
            yield
        except DockerfileError as error:
            raise self._failure(said(error), error.line, error.end) from error
        except errors.SampanError as error:
            now = self._steps.now if self._steps else None
            line, end = (now.start, now.end) if now else (0, 0)
            raise self._failure(said(error), line, end) from error

    def _failure(self, text: str, line: int, end: int) -> GRPCError:
        details = []
        if line:
            info = {
                "filename": self.asked.filename,
                "data": base64.b64encode(self._text.encode("utf-8", "surrogateescape")).decode(),
                "language": "Dockerfile",
            }
            lines = {"start": {"line": line}, "end": {"line": max(line, end)}}
            document = json.dumps({"info": info, "ranges": [lines]})
            details.append((_SOURCE, document.encode()))
        return GRPCError(Status.UNKNOWN, text, details)


class _Workshop(building.Workshop):
    """The engine's, whose words become vertices."""

    steps: steps.Steps

    def say(self, text: str) -> None:
        self._loop.call_soon_threadsafe(self.steps.heard, text)

    async def output(self, stream: int, data: bytes) -> None:
        if self.steps.vertex is not None:
            self.steps.vertex.log(stream, data)


async def _quiet(message: Message) -> None:
    """Pulls are not shown yet."""


def said(error: BaseException) -> str:
    """BuildKit's words."""
    if isinstance(error, running.CommandFailed):
        command = " ".join(error.command)
        return f'process "{command}" did not complete successfully: exit code: {error.code}'
    return str(error) or type(error).__name__


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
