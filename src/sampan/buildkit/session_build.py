"""`POST /build?version=2`: how docker clients before buildx (18.09 to 20.10) ask BuildKit.

The request's query has what the frontend is to know, the session gives the files (dockerode sends a
tar beside it, docker in a request of its own), and the answer is a stream of JSON lines: the status
of the build, encoded as on `/grpc`, and the image's id. Source: moby api/server/router/build,
docker/cli command/image/build_buildkit.go (20.10), dockerode lib/session.js.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from grpclib.exceptions import GRPCError

from sampan.buildkit import control, door, frontend, messages, uploads
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sampan.buildkit.jobs import Job
    from sampan.engine.builds import Options
    from sampan.engine.engine import Engine

    Message = dict[str, Any]

# `remote`, where it is no address → the frontend's context
_CONTEXTS = {"client-session": "", uploads.REMOTE: frontend.UPLOAD, "": frontend.UPLOAD}


class BuildFailed(errors.InvalidArgument):
    """What the frontend or a step said, in BuildKit's words."""


async def build(
    engine: Engine,
    options: Options,
    query: Mapping[str, str],
    body: AsyncIterator[bytes],
    report: Callable[[Message], Awaitable[None]],
) -> None:
    """Raises BuildFailed. `body`: the context as a tar, where the query names no other."""
    inside = door.of(engine)
    ref = query.get("buildid", "")
    if ref.startswith(uploads.PREFIX):
        await inside.uploads.give(ref.removeprefix(uploads.PREFIX), body)
        return
    ref = ref or uuid.uuid4().hex
    request = messages.SOLVE.blank() | {
        "Ref": ref,
        "Session": query.get("session", ""),
        "Frontend": "dockerfile.v0",
        "FrontendAttrs": attributes(options),
        "Exporters": _exporters(options, query.get("outputs", "")),
    }
    try:
        async with inside.jobs.open(ref, request["Session"]) as job:
            if options.remote == uploads.REMOTE:
                job.upload = inside.uploads.take(ref)
            elif not options.remote:
                job.upload = body
            telling = asyncio.create_task(_tell(job, report))
            try:
                answer = await control.run(inside.jobs, job, request)
            finally:
                job.progress.finish()
                with contextlib.suppress(ConnectionError):
                    await telling
    except GRPCError as error:
        raise BuildFailed(error.message or "") from error
    if image := answer.get("containerimage.digest"):
        await report({"id": "moby.image.id", "aux": {"ID": image}})


async def _tell(job: Job, report: Callable[[Message], Awaitable[None]]) -> None:
    async for message in job.progress.follow():
        data = base64.b64encode(messages.STATUS_RESPONSE.encode(message)).decode()
        await report({"id": "moby.buildkit.trace", "aux": data})


def attributes(options: Options) -> dict[str, str]:
    """The frontend's, of what the query asked for."""
    host = options.host_config
    told = {
        "filename": options.dockerfile,
        "target": options.target,
        "platform": options.platform,
        "force-network-mode": options.network,
        "image-resolve-mode": "pull" if options.pull else "",
        "context": _CONTEXTS.get(options.remote, options.remote),
        "add-hosts": ",".join(entry.replace(":", "=", 1) for entry in host.get("ExtraHosts", ())),
        "shm-size": str(host.get("ShmSize", "")),
        "cgroup-parent": host.get("CgroupParent", ""),
        "ulimit": ",".join(
            f"{one['Name']}={one['Soft']}:{one['Hard']}" for one in host.get("Ulimits", ())
        ),
    }
    told = {name: value for name, value in told.items() if value}
    told |= {f"build-arg:{name}": value for name, value in options.args.items()}
    told |= {f"label:{name}": value for name, value in options.labels.items()}
    return told | ({"no-cache": ""} if options.no_cache else {})


def _exporters(options: Options, outputs: str) -> list[Message]:
    wanted = json.loads(outputs) if outputs else []
    if not wanted:
        return [{"Type": "moby", "Attrs": {"name": ",".join(options.names)}}]
    return [{"Type": one["Type"], "Attrs": one.get("Attrs") or {}} for one in wanted]
