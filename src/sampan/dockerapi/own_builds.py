"""What builds have beyond Docker's API.

`POST /sampan/build/secrets` takes a JSON object, id → base64, and answers {"Token"}: the secrets
wait in memory for the one build that names the token (`POST /build?secrets=TOKEN`). Further words
of that query: `contexts` (JSON, name → docker-image://NAME, an address, or local:DIRECTORY of the
context's tar), `agents` (JSON, id → the path of an ssh agent's socket on this machine), and, each
repeatable, `allow` and `nocachefilter`. `explain=1` tells why each step is done again.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

from sampan.build import providers
from sampan.dockerapi import shapes
from sampan.dockerapi.router import Routes
from sampan.kit import errors

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.dockerapi.router import Call

routes = Routes()

_MOST = 64  # builds whose secrets wait; beyond them the oldest are forgotten
_waiting: dict[str, dict[str, bytes]] = {}


@routes.post("/sampan/build/secrets")
async def keep(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.Each(shapes.TEXT))
    try:
        values = {key: base64.b64decode(text, validate=True) for key, text in body.items()}
    except ValueError:
        raise errors.InvalidArgument("secrets: a JSON object of base64 texts is wanted") from None
    token = secrets.token_hex(16)
    _waiting[token] = values
    for old in list(_waiting)[:-_MOST]:
        del _waiting[old]
    return call.json({"Token": token})


def options(call: Call) -> dict[str, Any]:
    """The fields of a build's options that Docker does not have."""
    texts = shapes.Each(shapes.TEXT)
    return {
        "contexts": call.document("contexts", texts) or {},
        "agents": providers.LocalAgents(call.document("agents", texts) or {}),
        "secrets": providers.GivenSecrets(_taken(call.query("secrets"))),
        "allowed": frozenset(call.request.query.getall("allow", [])),
        "explain": call.flag("explain"),
        "no_cache_stages": tuple(call.request.query.getall("nocachefilter", [])),
    }


def _taken(token: str) -> dict[str, bytes]:
    if not token:
        return {}
    if token not in _waiting:
        raise errors.InvalidArgument("the secrets' token is unknown: it serves one build")
    return _waiting.pop(token)
