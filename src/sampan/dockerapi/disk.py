"""`/system/df`: what images, containers, volumes and the build cache take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi import images as image_routes
from sampan.dockerapi import volumes as volume_routes
from sampan.dockerapi.router import Call, Routes
from sampan.engine import disk_usage
from sampan.engine.builds import usage as build_usage
from sampan.engine.containers import list as listing
from sampan.engine.filters import Filters
from sampan.image import platforms
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.engine.engine import Engine

routes = Routes()
_KINDS = {"image", "container", "volume", "build-cache"}


@routes.get("/system/df")
async def usage(call: Call) -> web.StreamResponse:
    engine = call.engine
    wanted = set(call.request.query.getall("type", [])) or _KINDS
    records = await in_thread(build_usage.records, engine, build_usage.image_blobs(engine))
    answer: dict[str, Any] = {"LayersSize": 0, "BuildCache": None}
    if "image" in wanted:
        found = engine.images.list(Filters(), shared=True)
        content = await in_thread(engine.images.content_size)
        layers = sum(engine.images.layer_sizes().values())
        answer["LayersSize"] = layers + content - sum(r.size for r in records if r.only_here)
        answer["Images"] = [
            {**image_routes.summary_json(image), "SizeContent": _blobs(engine, image.id)}
            for image in found
        ]
    if "container" in wanted:
        answer["Containers"] = await listing.containers(engine, Filters(), all_=True, size=True)
    if "volume" in wanted:
        answer["Volumes"] = [await _volume(engine, v) for v in engine.volumes.list(Filters())]
    if "build-cache" in wanted:
        answer["BuildCache"] = [_record(record) for record in records]
    return call.json(answer)


def _blobs(engine: Engine, image_id: str) -> int:
    """Ours, not Docker's: bytes of an image as it was pulled."""
    stored = platforms.reachable(engine.store, [engine.images.get(image_id).manifest])
    return sum(map(engine.store.size, stored))


def _record(record: build_usage.Record) -> dict[str, Any]:
    return {
        "ID": record.id,
        "Type": record.kind,
        "Description": record.description,
        "InUse": record.in_use,
        "Shared": record.shared,
        "Size": record.size,
        "CreatedAt": record.created,
        "LastUsedAt": record.used,
        "UsageCount": record.uses,
    }


async def _volume(engine: Engine, volume: Any) -> dict[str, Any]:
    size = (await in_thread(disk_usage.of_tree, volume.mountpoint)).size
    users = len(engine.volumes.users(volume.name))
    return {**volume_routes.to_docker(volume), "UsageData": {"RefCount": users, "Size": size}}


SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)


@routes.post("/swarm/leave")
async def leave(call: Call) -> web.StreamResponse:
    return call.json({"message": "This node is not part of a swarm"}, 503)


async def swarm(call: Call) -> web.StreamResponse:
    return call.json({"message": SWARM}, 503)


for _group in ("swarm", "nodes", "services", "tasks", "secrets", "configs"):
    for _path in (f"/{_group}", f"/{_group}/{{rest:.*}}"):
        routes.add(("GET", "POST", "DELETE"), _path)(swarm)
routes.put("/volumes/{name}")(swarm)  # volumes of a cluster alone can be changed


@routes.post("/sampan/shutdown")
async def shutdown(call: Call) -> web.StreamResponse:
    """Ours, not Docker's: stop containers, leave no trace on the host, end the engine."""
    await call.engine.shutdown()
    return call.empty()
