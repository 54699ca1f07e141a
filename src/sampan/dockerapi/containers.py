"""Routes under /containers: one call of the engine each. Streams stand in `streams`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

from sampan.dockerapi import shapes
from sampan.dockerapi.router import Routes, to_json
from sampan.engine.containers import (
    attach,
    changes,
    checkpoint,
    create,
    inspect,
    kill,
    links,
    pause,
    remove,
    rename,
    start,
    stats,
    stop,
    top,
    update,
    usage,
    wait,
)
from sampan.engine.containers import list as listing
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.dockerapi.router import Call
    from sampan.engine.containers.container import Container

routes = Routes()


def container_of(call: Call) -> Container:
    return call.engine.containers.get(call["id"])


@routes.get("/containers/json")
async def list_(call: Call) -> web.StreamResponse:
    found = await listing.containers(
        call.engine,
        call.filters(),
        all_=call.flag("all"),
        limit=call.number("limit"),
        size=call.flag("size"),
    )
    if call.version < (1, 46):
        for summary in found:
            summary["HostConfig"].pop("Annotations", None)
    return call.json(found)


@routes.post("/containers/create")
async def create_(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.CONTAINER)
    if not body:
        raise errors.InvalidArgument("config cannot be empty in order to create a container")
    if call.version < (1, 40):  # until then containers shared their IPC namespace when asked
        host = body["HostConfig"] = body.get("HostConfig") or {}
        host["IpcMode"] = host.get("IpcMode") or "shareable"
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if call.version < (1, 44) and len(endpoints) > 1:
        raise errors.InvalidArgument("Container cannot be created with multiple network endpoints")
    platform = call.platform() if call.version >= (1, 41) else ""
    container, warnings = await create.create(
        call.engine, call.query("name"), body, platform=platform
    )
    return call.json({"Id": container.id, "Warnings": warnings}, status=201)


@routes.post("/containers/prune")
async def prune(call: Call) -> web.StreamResponse:
    return call.json(await remove.prune(call.engine, call.filters()))


@routes.get("/containers/{id}/json")
async def inspect_(call: Call) -> web.StreamResponse:
    container = container_of(call)
    document = inspect.inspect(container)
    if call.flag("size"):
        document |= await usage.document(container)
    return call.json(document)


@routes.post("/containers/{id}/start")
async def start_(call: Call) -> web.StreamResponse:
    container, name = container_of(call), call.query("checkpoint")
    found = checkpoint.find(container, name, call.query("checkpoint-dir")) if name else ""
    await start.start(container, checkpoint=found)
    return call.empty()


@routes.post("/containers/{id}/stop")
async def stop_(call: Call) -> web.StreamResponse:
    note = await stop.stop(container_of(call), call.number("t"), call.query("signal"))
    return call.empty(note=note)


@routes.post("/containers/{id}/restart")
async def restart(call: Call) -> web.StreamResponse:
    note = await stop.restart(container_of(call), call.number("t"), call.query("signal"))
    return call.empty(note=note)


@routes.post("/containers/{id}/kill")
async def kill_(call: Call) -> web.StreamResponse:
    try:
        await kill.kill(container_of(call), call.query("signal"))
    except errors.SampanError as error:
        raise errors.within(f"cannot kill container: {call['id']}", error) from error
    return call.empty()


@routes.post("/containers/{id}/pause")
async def pause_(call: Call) -> web.StreamResponse:
    await pause.pause(container_of(call))
    return call.empty()


@routes.post("/containers/{id}/unpause")
async def unpause(call: Call) -> web.StreamResponse:
    await pause.unpause(container_of(call))
    return call.empty()


@routes.post("/containers/{id}/rename")
async def rename_(call: Call) -> web.StreamResponse:
    await rename.rename(container_of(call), call.query("name"))
    return call.empty()


@routes.post("/containers/{id}/update")
async def update_(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.RESOURCES)
    await update.update(container_of(call), body)
    return call.json({"Warnings": []})


@routes.delete("/containers/{id}")
async def remove_(call: Call) -> web.StreamResponse:
    if call.flag("link"):
        raise errors.Conflict("Conflict, cannot remove the default link name of the container")
    await remove.remove(container_of(call), force=call.flag("force"), volumes=call.flag("v"))
    return call.empty()


@routes.delete("/containers/{id}/{alias}")
async def remove_link(call: Call) -> web.StreamResponse:
    if not call.flag("link"):
        raise errors.NotFound(f"No such container: {call['id']}/{call['alias']}")
    links.remove(container_of(call), call["alias"])
    return call.empty()


@routes.post("/containers/{id}/wait")
async def wait_(call: Call) -> web.StreamResponse:
    """The head goes out at once: clients start the container only after they have it."""
    ended = wait.prepare(container_of(call), call.query("condition"))
    response = await call.stream()
    await response.write(to_json({"StatusCode": await ended}))
    await response.write_eof()
    return response


@routes.post("/containers/{id}/resize")
async def resize(call: Call) -> web.StreamResponse:
    rows, columns = size_of(call)
    await attach.resize(container_of(call), rows, columns)
    return web.Response()


def size_of(call: Call) -> tuple[int, int]:
    return _side(call, "h", "height"), _side(call, "w", "width")


def _side(call: Call, name: str, what: str) -> int:
    text = call.query(name)
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise errors.InvalidArgument(f'invalid resize {what} "{text}": invalid syntax')
    if not 0 <= int(text) < 65536:  # ioctl_tty(2): struct winsize
        raise errors.InvalidArgument(f'invalid resize {what} "{text}": value out of range')
    return int(text)


@routes.get("/containers/{id}/top")
async def top_(call: Call) -> web.StreamResponse:
    return call.json(await top.top(container_of(call), call.query("ps_args")))


@routes.get("/containers/{id}/changes")
async def changes_(call: Call) -> web.StreamResponse:
    return call.json(await changes.changes(container_of(call)))


@routes.get("/containers/{id}/stats")
async def stats_(call: Call) -> web.StreamResponse:
    container = container_of(call)
    if not call.flag("stream", True):
        return call.json(await stats.once(container, one_shot=call.flag("one-shot")))
    response = await call.stream()
    async for sample in stats.stream(container):
        await response.write(to_json(sample))
    await response.write_eof()
    return response


# ---- checkpoints


@routes.post("/containers/{id}/checkpoints")
async def create_checkpoint(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.CHECKPOINT)
    await checkpoint.create(
        container_of(call),
        body.get("CheckpointID") or "",
        directory=body.get("CheckpointDir") or "",
        exit_=bool(body.get("Exit")),
    )
    return web.Response(status=201)


@routes.get("/containers/{id}/checkpoints")
async def list_checkpoints(call: Call) -> web.StreamResponse:
    found = checkpoint.list_(container_of(call), call.query("dir"))
    return call.json([{"Name": name} for name in found])


@routes.delete("/containers/{id}/checkpoints/{checkpoint}")
async def remove_checkpoint(call: Call) -> web.StreamResponse:
    await checkpoint.remove(container_of(call), call["checkpoint"], call.query("dir"))
    return call.empty()
