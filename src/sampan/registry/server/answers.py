"""Requests read and answers made, as all parts of the API do it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from sampan.registry.server import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
JSON = "application/json"


def answered(status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=data, headers={**VERSION, **(headers or {})})


def page(request: web.BaseRequest) -> tuple[int | None, str]:
    text, last = request.query.get("n"), request.query.get("last", "")
    if text is None:
        return None, last
    if not (text.isascii() and text.isdecimal()):
        raise errors.RegistryError(
            400, "PAGINATION_NUMBER_INVALID", f"n must be a number, not {text!r:.50}"
        )
    return int(text), last


def listed(
    document: dict[str, Any], path: str, found: list[str], count: int | None
) -> web.Response:
    """A page, with the way to the next one while there may be one."""
    headers = {"Content-Type": JSON}
    if count and len(found) == count:
        headers["Link"] = f'<{path}?n={count}&last={quote(found[-1], safe="")}>; rel="next"'
    return answered(200, json.dumps(document).encode(), headers)


async def chunks(request: web.BaseRequest) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk


async def body(request: web.BaseRequest, limit: int) -> bytes:
    parts, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise errors.RegistryError(413, "SIZE_INVALID", f"a manifest has at most {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)
