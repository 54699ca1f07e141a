"""`/sampan/networks/…`: what networks can do here beyond Docker's API.

GET    /sampan/networks/doctor      [{level: ok|note|wrong, about, text}]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi.router import Call, Routes
from sampan.engine import doctor

if TYPE_CHECKING:
    from aiohttp import web

routes = Routes()


@routes.get("/sampan/networks/doctor")
async def examine(call: Call) -> web.StreamResponse:
    return call.json([dict(finding.__dict__) for finding in await doctor.examine(call.engine)])
