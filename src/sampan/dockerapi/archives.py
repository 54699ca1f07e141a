"""A container's files as tars: `cp` and `export`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sampan.dockerapi.containers import container_of
from sampan.dockerapi.router import Routes
from sampan.engine.containers import archive
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.dockerapi.router import Call

routes = Routes()
PATH_STAT = "X-Docker-Container-Path-Stat"


@routes.head("/containers/{id}/archive")
async def stat_path(call: Call) -> web.StreamResponse:
    found = await archive.stat(container_of(call), path_of(call))
    return web.Response(headers={PATH_STAT: _encoded(found)})


@routes.get("/containers/{id}/archive")
async def get_archive(call: Call) -> web.StreamResponse:
    container, path = container_of(call), path_of(call)
    async with archive.Download(container, "get", path) as download:
        headers = {PATH_STAT: _encoded(download.stat)}
        response = await call.tar(download.chunks(), headers)
    container.event("archive-path")
    return response


@routes.get("/containers/{id}/export")
async def export(call: Call) -> web.StreamResponse:
    container = container_of(call)
    async with archive.Download(container, "export") as download:
        response = await call.tar(download.chunks())
    container.event("export")
    return response


@routes.put("/containers/{id}/archive")
async def put_archive(call: Call) -> web.StreamResponse:
    container, path = container_of(call), path_of(call)
    await archive.put(
        container,
        path,
        _plain(call),
        no_overwrite_dir_non_dir=call.flag("noOverwriteDirNonDir"),
        to_user=call.flag("copyUIDGID"),
    )
    container.event("extract-to-dir")
    return web.Response()


def path_of(call: Call) -> str:
    if not call.query("path"):
        raise errors.InvalidArgument("invalid argument: path cannot be empty")
    return call.query("path")


async def _plain(call: Call) -> AsyncIterator[bytes]:
    """The request's body; clients may send it compressed by gzip."""
    import zlib

    inflate = None
    first = True
    async for chunk in call.request.content.iter_any():
        if first and chunk[:2] == b"\x1f\x8b":
            inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        first = False
        yield inflate.decompress(chunk) if inflate else chunk


def _encoded(stat: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(stat).encode()).decode()
