"""`/sampan/images/…`: what images can do here beyond Docker's API.

GET    /sampan/images/NAME/tree?platform=          layers, what each adds and wastes
GET    /sampan/images/NAME/diff?from=NAME          what changed, as `docker diff` has it
POST   /sampan/images/NAME/untag                   one name goes, the image stays
POST   /sampan/images/NAME/convert?to=NAME&compression=&documents=
POST   /sampan/images/NAME/mount, …/umount         → {"Path": …}
GET    /sampan/images/mounts
POST   /sampan/images/copy?from=KIND&source=NAME&to=KIND&target=NAME&platform=
       KIND is registry, store or archive; an archive is the body that comes or that goes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi.images import body_chunks
from sampan.dockerapi.progress import Progress
from sampan.dockerapi.router import Call, Routes
from sampan.engine.images import convert, copy, mounts, quiet, study
from sampan.kit import errors
from sampan.registry import credentials as registry_credentials

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.registry.auth import Credentials

routes = Routes()


@routes.get("/sampan/images/{name:.*}/tree")
async def tree(call: Call) -> web.StreamResponse:
    return call.json(await study.tree(call.engine, call["name"], platform=call.platform()))


@routes.get("/sampan/images/{name:.*}/diff")
async def diff(call: Call) -> web.StreamResponse:
    found = await study.diff(
        call.engine, call["name"], call.query("from"), platform=call.platform()
    )
    return call.json(found)


@routes.post("/sampan/images/{name:.*}/untag")
async def untag(call: Call) -> web.StreamResponse:
    return call.json(call.engine.images.untag(call["name"]))


@routes.post("/sampan/images/{name:.*}/convert")
async def convert_(call: Call) -> web.StreamResponse:
    if not call.query("to"):
        raise errors.InvalidArgument("no name for the converted image: give to")
    made = await convert.convert(
        call.engine,
        call["name"],
        call.query("to"),
        compression=call.query("compression"),
        documents=call.query("documents"),
        platform=call.platform(),
    )
    return call.json(made, 201)


@routes.get("/sampan/images/mounts")
async def mounts_(call: Call) -> web.StreamResponse:
    return call.json(mounts.every(call.engine))


@routes.post("/sampan/images/{name:.*}/mount")
async def mount(call: Call) -> web.StreamResponse:
    return call.json({"Path": await mounts.mount(call.engine, call["name"])})


@routes.post("/sampan/images/{name:.*}/umount")
async def umount(call: Call) -> web.StreamResponse:
    return call.json({"Id": await mounts.umount(call.engine, call["name"])})


@routes.post("/sampan/images/copy")
async def copy_(call: Call) -> web.StreamResponse:
    source = copy.Place(
        kind=call.query("from"),
        name=call.query("source"),
        credentials=_credentials(call, "X-Registry-Auth"),
        chunks=body_chunks(call) if call.query("from") == "archive" else None,
    )
    to = copy.Place(
        kind=call.query("to"),
        name=call.query("target"),
        credentials=_credentials(call, "X-Registry-Auth-To"),
    )
    if to.kind == "archive":
        return await _copy_out(call, source, to)
    async with Progress(call) as report:
        await copy.copy(call.engine, source, to, platform=call.platform(), report=report)
    return await report.finish()


async def _copy_out(call: Call, source: copy.Place, to: copy.Place) -> web.StreamResponse:
    return await call.tar(
        copy.copy_out(call.engine, source, to, platform=call.platform(), report=quiet)
    )


def _credentials(call: Call, header: str) -> Credentials | None:
    try:
        return registry_credentials.from_header(call.request.headers.get(header, ""))
    except errors.InvalidArgument:
        return None  # clients send junk for "none", which dockerd ignores, too
