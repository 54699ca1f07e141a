"""`/sampan/networks/…`: what networks can do here beyond Docker's API.

GET    /sampan/networks/doctor           [{level: ok|note|wrong, about, text}]
GET    /sampan/networks/policy/CONTAINER [{interface, side, rules: [RULE, …], refused: RULE}], where
                                         RULE is {rule, packets, bytes, addresses}
POST   /sampan/networks/NAME/cni/VERB    the same, of the verbs status, check and gc of its plugins
GET    /sampan/networks/NAME/cni         their cached results: [{containerId, ifName, result, …}]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi.router import Call, Routes
from sampan.engine import cni, doctor, places, policies
from sampan.kit import errors

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.network import policy_hits

routes = Routes()


@routes.get("/sampan/networks/doctor")
async def examine(call: Call) -> web.StreamResponse:
    return call.json([dict(finding.__dict__) for finding in await doctor.examine(call.engine)])


@routes.get("/sampan/networks/policy/{name}")
async def policy(call: Call) -> web.StreamResponse:
    container = call.engine.containers.get(call["name"])
    found = policies.hits(container, places.of(container))
    return call.json([_plain(one) for one in found])


def _plain(found: policy_hits.List) -> dict[str, Any]:
    rules = [dict(rule.__dict__) for rule in found.rules]
    return {**found.__dict__, "rules": rules, "refused": dict(found.refused.__dict__)}


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
