"""`/sampan/networks/…`: what networks can do here beyond Docker's API.

GET    /sampan/networks/doctor           [{level: ok|note|wrong, about, text}]
POST   /sampan/networks/NAME/cni/VERB    the same, of the verbs status, check and gc of its plugins
GET    /sampan/networks/NAME/cni         their cached results: [{containerId, ifName, result, …}]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi.router import Call, Routes
from sampan.engine import cni, doctor
from sampan.kit import errors

if TYPE_CHECKING:
    from aiohttp import web

routes = Routes()


@routes.get("/sampan/networks/doctor")
async def examine(call: Call) -> web.StreamResponse:
    return call.json([dict(finding.__dict__) for finding in await doctor.examine(call.engine)])


@routes.post("/sampan/networks/{name}/cni/{verb}")
async def ask_plugins(call: Call) -> web.StreamResponse:
    verb = cni.VERBS.get(call["verb"])
    if verb is None:
        raise errors.InvalidArgument(
            f"there is no verb {call['verb']!r}; there are {', '.join(cni.VERBS)}"
        )
    found = await verb(call.engine, cni.network(call.engine, call["name"]))
    return call.json([dict(finding.__dict__) for finding in found])


@routes.get("/sampan/networks/{name}/cni")
async def results(call: Call) -> web.StreamResponse:
    return call.json(cni.results(call.engine, cni.network(call.engine, call["name"])))
