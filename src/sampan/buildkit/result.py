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

from sampan.build import dockerfile
from sampan.build.errors import DockerfileError
from sampan.buildkit import frontend, grpc, inputs, steps
from sampan.engine import builds
from sampan.engine.builds import contexts, scratch
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.build.context import Context
    from sampan.build.files import Files
    from sampan.build.state import State
    from sampan.buildkit.jobs import Job, Jobs
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
        text = contexts.dockerfile(uploaded, asked.filename)
    else:
        text = await given.dockerfile()
    made = Result(jobs, job, asked, given, text)
    made.uploaded = uploaded
    with made.explained():
        made.file = dockerfile.parse(text)
    return made


class Result:
    def __init__(
        self,
        jobs: Jobs,
        job: Job,
        asked: frontend.Asked,
        given: inputs.Inputs,
        text: str,
    ) -> None:
        self.engine, self.job, self.asked = jobs.engine, job, asked
        self._given, self._text = given, text
        self.uploaded: Context | None = None
        self.file: dockerfile.Dockerfile
        self.lease: Lease = job.held.enter_context(self.engine.images.lease("build"))
        self._work: asyncio.Task[State] | None = None
        self._steps: steps.Steps | None = None

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

        context: Files = self.uploaded or inputs.Later(fetch)
        told = self._steps = steps.Steps(self.file, self.job.progress, loop)
        options = self.asked.options
        with self.explained():
            try:
                with scratch.directory(self.engine.paths.root) as place:
                    workshop = builds.Workshop(self.engine, self.lease, place, options, _quiet)
                    request = builds.request_of(self._text, context, options)
                    state = await builds.solved(request, workshop, told)
            except BaseException as error:
                cancelled = isinstance(error, asyncio.CancelledError)
                told.end_all("context canceled" if cancelled else steps.said(error))
                raise
        told.end_all()
        return state

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors get the lines they are about."""
        try:
            yield
        except DockerfileError as error:
            raise self._failure(steps.said(error), error.line, error.end) from error
        except errors.SampanError as error:
            line, end = self._steps.failed if self._steps else (0, 0)
            raise self._failure(steps.said(error), line, end) from error

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
