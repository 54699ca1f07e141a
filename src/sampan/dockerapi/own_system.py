"""`/sampan/…`: how the engine and its host are.

POST   /sampan/check?repair=1    → {"Problems": [{Problem, Way, Repairable, Repaired, Failure}]}
GET    /sampan/diagnosis         → {"Findings": [{Name, Good, Detail}]}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi.router import Call, Routes
from sampan.engine import check, diagnosis
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from aiohttp import web

routes = Routes()


@routes.post("/sampan/check")
async def check_(call: Call) -> web.StreamResponse:
    return call.json({"Problems": await check.run(call.engine, repair=call.flag("repair"))})


@routes.get("/sampan/diagnosis")
async def diagnosis_(call: Call) -> web.StreamResponse:
    found = await in_thread(diagnosis.examine, call.engine)
    rows = [{"Name": f.name, "Good": f.good, "Detail": f.detail} for f in found]
    return call.json({"Findings": rows})
