"""moby.buildkit.v1.Control: what a client calls on `/grpc`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from sampan.build import cache_options, provenance
from sampan.buildkit import exporters, messages, result, tunnel
from sampan.buildkit.grpc import Service
from sampan.buildkit.progress import timestamp
from sampan.buildkit.workers import VERSION, worker
from sampan.engine.builds import usage
from sampan.kit import clock, errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from grpclib.server import Stream

    from sampan.buildkit.jobs import Job, Jobs

    Message = dict[str, Any]
    Call = Stream[Message, Message]

_AT = "/moby.buildkit.v1.Control/"


class Control:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def solve(self, _: Call, request: Message) -> Message:
        async with self._jobs.open(request["Ref"], request["Session"]) as job:
            return {"ExporterResponse": await run(self._jobs, job, request)}

    async def session(self, call: Call) -> None:
        await tunnel.hold(call, self._jobs.sessions)

    async def status(self, call: Call) -> None:
        request = await call.recv_message()
        if request is None:
            return
        job = await self._jobs.get(request["Ref"])
        await call.send_initial_metadata()
        async for message in job.progress.follow():
            await call.send_message(message)

    async def list_workers(self, _: Call, __: Message) -> Message:
        return {"record": [worker()]}

    async def info(self, _: Call, __: Message) -> Message:
        return {"buildkitVersion": VERSION}

    async def disk_usage(self, _: Call, __: Message) -> Message:
        return {"record": [_record(one) for one in await self._records()]}

    async def _records(self) -> list[usage.Record]:
        engine = self._jobs.engine
        return await in_thread(usage.records, engine, usage.image_blobs(engine))

    async def prune(self, call: Call) -> None:
        request = await call.recv_message()
        if request and (asked := " ".join(request["filter"])):
            raise errors.Unsupported(f"filters of a prune ({asked}) are not supported yet")
        wanted = request or messages.PRUNE.blank()
        limits = usage.Limits(
            every=wanted["all"],
            before=time.time_ns() - wanted["keepDuration"] if wanted["keepDuration"] else None,
            reserved=wanted["reservedSpace"],
            most=wanted["maxUsedSpace"],
            free=wanted["minFreeSpace"],
        )
        known = {one.id: one for one in await self._records()}
        idents, _ = await usage.prune(self._jobs.engine, limits)
        await call.send_initial_metadata()
        for ident in idents:
            if ident in known:
                await call.send_message(_record(known[ident]))

    async def history(self, call: Call) -> None:
        """None is kept; who waits for more waits until the connection ends."""
        request = await call.recv_message()
        await call.send_initial_metadata()
        if request and not request["EarlyExit"]:
            await asyncio.Event().wait()

    async def update_history(self, _: Call, request: Message) -> Message:
        raise errors.NotFound(f"no record of the build {request['Ref']}: no history is kept")

    async def health(self, _: Call, __: Message) -> Message:
        return {"status": 1}  # SERVING


def service(jobs: Jobs) -> Service:
    made, here = Service(), Control(jobs)
    made.unary(_AT + "Solve", messages.SOLVE, messages.SOLVED, here.solve)
    made.streaming(_AT + "Session", messages.DATA, messages.DATA, here.session)
    made.streaming(_AT + "Status", messages.STATUS_REQUEST, messages.STATUS_RESPONSE, here.status)
    made.unary(_AT + "ListWorkers", messages.EMPTY, messages.WORKERS, here.list_workers)
    made.unary(_AT + "Info", messages.EMPTY, messages.INFO, here.info)
    made.unary(_AT + "DiskUsage", messages.EMPTY, messages.DISK_USAGE, here.disk_usage)
    made.streaming(_AT + "Prune", messages.PRUNE, messages.USAGE, here.prune)
    made.streaming(_AT + "ListenBuildHistory", messages.HISTORY, messages.EMPTY, here.history)
    made.unary(
        _AT + "UpdateBuildHistory", messages.STATUS_REQUEST, messages.EMPTY, here.update_history
    )
    made.unary("/grpc.health.v1.Health/Check", messages.EMPTY, messages.HEALTH, here.health)
    return made


def _record(one: usage.Record) -> Message:
    """A UsageRecord."""
    return {
        "ID": one.id,
        "InUse": one.in_use,
        "Size": one.size,
        "CreatedAt": timestamp(clock.parse(one.created)),
        "LastUsedAt": timestamp(clock.parse(one.used)),
        "UsageCount": one.uses,
        "Description": one.description,
        "RecordType": one.kind,
        "Shared": one.shared,
    }


async def run(jobs: Jobs, job: Job, request: Message) -> dict[str, str]:
    """A job from its request to what its exporters say."""
    job.exports = tuple(
        cache_options.parse_export(one["Type"], one["Attrs"])
        for one in (request["Cache"] or {}).get("Exports", ())
    )
    job.imports = tuple(
        cache_options.parse_import(one["Type"], one["Attrs"])
        for one in (request["Cache"] or {}).get("Imports", ())
    )
    job.provenance = provenance.attests(_attests(request["FrontendAttrs"]))
    job.allowed = frozenset(request["Entitlements"])
    with result.explained(job):
        wanted = await _wanted(jobs, job, request)
        return await exporters.export(wanted, request) if wanted else {}


def _attests(attributes: dict[str, str]) -> dict[str, str]:
    """By type; the argument is BuildKit's other way to ask."""
    found = {}
    for name, value in attributes.items():
        for prefix in ("attest:", "build-arg:BUILDKIT_ATTEST_"):
            if name.startswith(prefix):
                found[name.removeprefix(prefix).lower()] = value
    return found


async def _wanted(jobs: Jobs, job: Job, request: Message) -> result.Result | None:
    """What is to be exported; None where the client wants nothing built."""
    if request["Definition"]:
        raise errors.Unsupported("LLB is not solved here: the only frontend is dockerfile.v0")
    if request["Frontend"]:
        made = await result.prepare(jobs, job, request["Frontend"], request["FrontendAttrs"])
        job.add(made)
        return made
    returned = await job.returned
    if error := returned["error"]:
        raise result.Returned(error)
    found = returned["result"] or messages.RESULT.blank()
    name = found["ref"]["id"] if found["ref"] else found["refDeprecated"]
    return job.result(name) if name else None
