"""`/volumes`: list, create, inspect, remove, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi import shapes
from sampan.dockerapi.router import Call, Routes
from sampan.engine import disk_usage
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.engine.volumes import Volume

routes = Routes()


def to_docker(volume: Volume, status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "CreatedAt": volume.created.partition(".")[0] + "Z",
        "Driver": volume.driver,
        "Labels": volume.labels or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": volume.scope,
        **({"Status": status} if status else {}),
    }


@routes.get("/volumes")
async def list_(call: Call) -> web.StreamResponse:
    found = call.engine.volumes.list(call.filters())
    return call.json({"Volumes": [to_docker(volume) for volume in found], "Warnings": None})


@routes.post("/volumes/create")
async def create(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.VOLUME)
    volume = call.engine.volumes.ensure(
        body.get("Name") or "",
        driver=body.get("Driver") or "local",
        labels=body.get("Labels"),
        options=body.get("DriverOpts"),
    )
    return call.json(to_docker(volume), 201)


@routes.post("/volumes/prune")
async def prune(call: Call) -> web.StreamResponse:
    filters = call.filters().accept("label", "label!", "all")
    # Before 1.42 every unused volume was pruned; since then only anonymous ones, unless asked.
    named = call.version < (1, 42) or filters.flag("all")
    doomed = [
        volume
        for volume in call.engine.volumes.unused()
        if (named or volume.anonymous) and filters.labels(volume.labels)
    ]
    reclaimed = 0
    for volume in doomed:
        reclaimed += (await in_thread(disk_usage.of_tree, volume.mountpoint)).size
        await call.engine.volumes.remove(volume.name)
    if doomed:
        call.engine.events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
    names = [volume.name for volume in doomed]
    return call.json({"VolumesDeleted": names, "SpaceReclaimed": reclaimed})


@routes.get("/volumes/{name}")
async def inspect(call: Call) -> web.StreamResponse:
    volume = call.engine.volumes.get(call["name"])
    return call.json(to_docker(volume, call.engine.volumes.status(volume)))


@routes.delete("/volumes/{name}")
async def remove(call: Call) -> web.StreamResponse:
    await call.engine.volumes.remove(call["name"], force=call.flag("force"))
    return call.empty()
