"""`/sampan/volumes/…`: what volumes can do here beyond Docker's API.

GET    /sampan/volumes/NAME/export                 a tar of its files
POST   /sampan/volumes/NAME/import                 the tar is the body; → the volume
POST   /sampan/volumes/NAME/clone?to=NAME          → the new volume
POST   /sampan/volumes/NAME/snapshot?to=NAME       the same, named by the time unless `to` is given
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from sampan.dockerapi.images import body_chunks
from sampan.dockerapi.router import Call, Routes
from sampan.dockerapi.volumes import to_docker
from sampan.engine import volume_copies

if TYPE_CHECKING:
    from aiohttp import web

routes = Routes()


@routes.get("/sampan/volumes/{name}/export")
async def export(call: Call) -> web.StreamResponse:
    async with aclosing(volume_copies.export(call.engine, call["name"])) as archive:
        return await call.tar(archive)


@routes.post("/sampan/volumes/{name}/import")
async def import_(call: Call) -> web.StreamResponse:
    made = await volume_copies.import_(call.engine, call["name"], body_chunks(call))
    return call.json(to_docker(made), 201)


@routes.post("/sampan/volumes/{name}/clone")
async def clone(call: Call) -> web.StreamResponse:
    made = await volume_copies.clone(call.engine, call["name"], call.query("to"))
    return call.json(to_docker(made), 201)


@routes.post("/sampan/volumes/{name}/snapshot")
async def snapshot(call: Call) -> web.StreamResponse:
    made = await volume_copies.clone(call.engine, call["name"], call.query("to"), snapshot=True)
    return call.json(to_docker(made), 201)
