"""`/grpc` and `/session`: HTTP upgraded to h2c, and BuildKit's protocols on it.

The room behind it is imported when the first client comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi import hijack
from sampan.dockerapi.router import Routes

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.dockerapi.router import Call

routes = Routes()


@routes.post("/grpc")
async def grpc(call: Call) -> web.StreamResponse:
    from sampan.buildkit import door

    taken = await hijack.upgrade_to_h2c(call)
    door.of(call.engine).control(taken.socket, taken.pending)
    return taken


@routes.post("/session")
async def session(call: Call) -> web.StreamResponse:
    from sampan.buildkit import door, sessions

    headers = call.request.headers
    said = sessions.hello(headers, headers.getall(sessions.METHOD, []))
    inside = door.of(call.engine)
    inside.sessions.check(said)
    taken = await hijack.upgrade_to_h2c(call)
    inside.session(taken.socket, taken.pending, said)
    return taken
