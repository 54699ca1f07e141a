"""moby.buildkit.v1.frontend.LLBBridge: how buildx and compose drive a build themselves.

`Solve` reads the Dockerfile and answers with a name for what it will become; nothing is built
before the job is to export it, or the client asks to `Evaluate` it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.buildkit import messages, result, subrequests
from sampan.buildkit.grpc import Service
from sampan.buildkit.workers import worker
from sampan.kit import errors

if TYPE_CHECKING:
    from grpclib.server import Stream

    from sampan.buildkit.jobs import Job, Jobs

    Message = dict[str, Any]
    Call = Stream[Message, Message]

_AT = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"  # metadata: the job's ref
_LLB_CAPS = ("exporter.image.attestations",)
_CAPS = ("solve.base", "return", "returnmap", "proto.refarray", "gateway.evaluate",
         "gateway.solve.evaluate", "frontend.caps")  # fmt: skip


class Bridge:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def _job(self, call: Call) -> Job:
        ref = str(dict(call.metadata or {}).get(_BUILD, ""))
        if not ref:
            raise errors.InvalidArgument(f"the bridge needs the metadata {_BUILD}")
        return await self._jobs.get(ref)

    async def ping(self, _: Call, __: Message) -> Message:
        return {
            "FrontendAPICaps": [{"ID": name, "Enabled": True} for name in _CAPS],
            "LLBCaps": [{"ID": name, "Enabled": True} for name in _LLB_CAPS],
            "Workers": [worker()],
        }

    async def solve(self, call: Call, request: Message) -> Message:
        job = await self._job(call)
        if request["Definition"]:
            raise errors.Unsupported("LLB is not solved here: the only frontend is dockerfile.v0")
        if request["FrontendInputs"]:
            raise errors.Unsupported("a frontend's inputs as LLB are not supported yet")
        with result.explained(job):
            frontend, options = request["Frontend"], request["FrontendOpt"]
            subrequests.check(options)
            if options.get("requestid") == "frontend.subrequests.describe":
                return {"result": {"metadata": subrequests.describe()}}
            made = await result.prepare(self._jobs, job, frontend, options)
            if asked := options.get("requestid"):
                with made.explained():
                    return {"result": {"metadata": subrequests.answer(asked, made)}}
            name = job.add(made)
            if request["Evaluate"]:
                await made.outcome()
        return {"result": {"ref": {"id": name}}}

    async def evaluate(self, call: Call, request: Message) -> Message:
        job = await self._job(call)
        with result.explained(job):
            await job.result(request["Ref"]).outcome()
        return {}

    async def return_(self, call: Call, request: Message) -> Message:
        job = await self._job(call)
        if not job.returned.done():
            job.returned.set_result(request)
        return {}


def service(jobs: Jobs) -> Service:
    made, here = Service(), Bridge(jobs)
    made.unary(_AT + "Ping", messages.EMPTY, messages.PONG, here.ping)
    made.unary(_AT + "Solve", messages.GATEWAY_SOLVE, messages.GATEWAY_SOLVED, here.solve)
    made.unary(_AT + "Evaluate", messages.REF_REQUEST, messages.EMPTY, here.evaluate)
    made.unary(_AT + "Return", messages.RETURN, messages.EMPTY, here.return_)
    return made
