"""Searching a registry: Docker Hub's index (`/v1/search`), or the names a registry lists.

    found = await search("localhost:5000/web", 25, credentials=…, hosts=…)

`TERM` asks Docker Hub, `HOST/TERM` that registry. The index API (Docker Registry 1) is what Docker
Hub still has, and no specification has replaced it. A registry without it is asked for its
repositories (`/v2/_catalog`, which Docker's distribution has and ours): their names alone, in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sampan.kit import errors as kinds
from sampan.kit.record import Record
from sampan.registry import errors, hosts, problems, tags, transport
from sampan.spec import reference

if TYPE_CHECKING:
    import aiohttp

    from sampan.registry.auth import Credentials

INDEX = "index.docker.io"  # where Docker Hub is searched; its images are elsewhere
_MOST_PAGES = 100
_NOT_THERE = (401, 403, 404, 405)


class Found(Record):
    name: str
    description: str = ""
    stars: int = 0
    official: bool = False


def split(term: str) -> tuple[str, str]:
    """(registry, term): Docker's rule for names, for words that need be no name."""
    if "://" in term:
        raise kinds.InvalidArgument(
            f"invalid repository name: repository name ({term}) should not have a scheme"
        )
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not reference.is_domain(first):
            raise kinds.InvalidArgument(f"{first!r} is no registry: give HOST or HOST:PORT")
        return ("docker.io", rest) if first in ("docker.io", INDEX) else (first, rest)
    return "docker.io", term


async def search(
    term: str, limit: int, *, credentials: Credentials | None = None, config: hosts.Config
) -> list[Found]:
    """At most `limit` repositories. Raises Unreachable and its kin, Unauthorized, Unsupported."""
    domain, wanted = split(term)
    own = config.of(domain)[-1]
    if domain == "docker.io":
        wanted = wanted.removeprefix("library/")
        own = own.replace(name=INDEX)
    async with transport.session() as session:
        index = transport.Transport(session, own.replace(path="/v1"), credentials=credentials)
        found = await _index(index, wanted, limit)
        if found is not None:
            return found
        if domain == "docker.io":
            raise kinds.Unsupported(f"{INDEX} has no search index")
        catalog = transport.Transport(session, own, credentials=credentials)
        return await _catalog(catalog, domain, wanted, limit)


async def _index(host: transport.Transport, term: str, limit: int) -> list[Found] | None:
    """None where there is no such API."""
    path = f"/search?q={quote(term, safe='')}&n={limit}"
    response = await host.request("GET", path, headers={"X-Docker-Token": "true"}, once=True)
    if response.status in _NOT_THERE or "json" not in response.content_type:
        await problems.discard(response)
        return None
    document = await _document(response)
    results = document.get("results")
    if not isinstance(results, list):
        raise errors.BadDocument(str(response.url), "its results are no list")
    return [_found(item) for item in results if isinstance(item, dict)][:limit]


def _found(item: dict[str, Any]) -> Found:
    return Found(
        name=str(item.get("name") or ""),
        description=str(item.get("description") or ""),
        stars=int(item.get("star_count") or 0),
        official=bool(item.get("is_official")),
    )


async def _catalog(host: transport.Transport, domain: str, term: str, limit: int) -> list[Found]:
    found: list[Found] = []
    path = "/_catalog?n=1000"
    for _ in range(_MOST_PAGES):
        response = await host.request("GET", path, scopes=["registry:catalog:*"], once=True)
        if response.status in _NOT_THERE:
            why = (await problems.problem(response)).message
            raise kinds.Unsupported(
                f"{domain} can not be searched: it has no search index, and does not list its"
                f" repositories ({why})"
            )
        after = tags.next_page(response)
        page = await _document(response)
        names = [str(name) for name in page.get("repositories") or () if term in str(name)]
        found += [Found(name=f"{domain}/{name}") for name in names]
        if after is None or len(found) >= limit:
            break
        path = host.joined(response, after)
    return found[:limit]


async def _document(response: aiohttp.ClientResponse) -> dict[str, Any]:
    if response.status != 200:
        raise errors.Refused(
            response.url.host or "", response.status, (await problems.problem(response)).message
        )
    async with response:
        return tags.document(await response.read(), str(response.url))
