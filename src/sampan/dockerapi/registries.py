"""What is asked of registries for a client: `/images/search`, `/distribution`, `/auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.dockerapi import shapes
from sampan.dockerapi.images import credentials
from sampan.dockerapi.router import Call, Routes
from sampan.kit import errors
from sampan.registry import credentials as registry_credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from sampan.engine.filters import Filters
    from sampan.registry.search import Found

routes = Routes()
_USUAL, _MOST = 25, 100  # search results


@routes.get("/images/search")
async def search(call: Call) -> web.StreamResponse:
    term, filters = call.query("term"), call.filters()
    limit = call.number("limit") or _USUAL
    if not 1 <= limit <= _MOST:
        raise errors.InvalidArgument(f"limit {limit} is outside the range of [1, {_MOST}]")
    if not term:
        raise errors.InvalidArgument("no search term: give term")
    wanted = _wanted(filters.accept("is-automated", "is-official", "stars"))
    found = await call.engine.images.search(term, limit, credentials=credentials(call))
    return call.json(
        [
            {
                "star_count": item.stars,
                "is_official": item.official,
                "name": item.name,
                "is_automated": False,
                "description": item.description,
            }
            for item in found
            if wanted(item)
        ]
    )


def _wanted(filters: Filters) -> Callable[[Found], bool]:
    stars = 0
    for text in filters.get("stars"):
        if not text.isdecimal():
            raise errors.InvalidArgument(f"invalid filter 'stars={text}'")
        stars = max(stars, int(text))
    official = filters.flag("is-official") if "is-official" in filters else None
    automated = filters.flag("is-automated")  # nothing is, any more

    def wanted(item: Found) -> bool:
        return not automated and item.stars >= stars and official in (None, item.official)

    return wanted


@routes.get("/distribution/{name:.*}/json")
async def distribution(call: Call) -> web.StreamResponse:
    return call.json(
        await call.engine.images.distribution(call["name"], credentials=credentials(call))
    )


@routes.post("/auth")
async def authenticate(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.AUTH)
    given = registry_credentials.from_entry(body)
    await call.engine.images.login(str(body.get("serveraddress") or ""), given)
    return call.json({"Status": "Login Succeeded", "IdentityToken": ""})
