"""`/plugins`: an engine of Sampan has none, and says so in the words that clients know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi.router import Call, Routes
from sampan.kit import errors

if TYPE_CHECKING:
    from aiohttp import web

routes = Routes()


@routes.get("/plugins")
async def list_(call: Call) -> web.StreamResponse:
    return call.json([])


@routes.post("/plugins/create")
@routes.post("/plugins/pull")
@routes.get("/plugins/privileges")
async def bring(call: Call) -> web.StreamResponse:
    raise errors.Unsupported(
        "plugins are not supported: volumes, networks and logs have the drivers that `info` lists"
    )


@routes.get("/plugins/{name:.*}/json")
@routes.post("/plugins/{name:.*}/(?:enable|disable|push|set|upgrade)")
@routes.delete("/plugins/{name:.*}")
async def one(call: Call) -> web.StreamResponse:
    raise errors.NotFound(f'plugin "{call["name"]}" not found')
