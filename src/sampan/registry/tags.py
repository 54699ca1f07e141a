"""Lists: tags and referrers (distribution-spec, "Listing tags", "Listing referrers")."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sampan.registry import errors, problems

if TYPE_CHECKING:
    import aiohttp

    from sampan.registry.client import Client
    from sampan.registry.transport import Transport

_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next\b', re.IGNORECASE)
_MOST_PAGES = 1000


async def all_of(client: Client, host: Transport) -> list[str]:
    """Every tag of the repository, in the registry's order."""
    found: list[str] = []
    path = client._path(host, "/tags/list")
    for _ in range(_MOST_PAGES):
        response = await host.request("GET", path, scopes=client._scope("pull"))
        if response.status != 200:
            client._refuse(host, response.status, await problems.problem(response), "pull")
        async with response:
            page = document(await response.read(), str(response.url))
        found += page.get("tags") or []
        after = next_page(response)
        if after is None:
            break
        path = host.joined(response, after)
    return found


def next_page(response: aiohttp.ClientResponse) -> str | None:
    """Where a list goes on (RFC 5988), as the registry wrote it."""
    after = _NEXT.search(response.headers.get("Link", ""))
    return after[1] if after else None


def of_referrers(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


async def referrers(client: Client, host: Transport, digest: str) -> list[dict[str, Any]]:
    """Asks the API, else the tag `sha256-…` that stands in for it ("Referrers Tag Schema")."""
    scopes = client._scope("pull")
    for rest in (f"/referrers/{digest}", f"/manifests/{of_referrers(digest)}"):
        response = await host.request(
            "GET", client._path(host, rest), scopes=scopes,
            headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        )  # fmt: skip
        if response.status == 200:
            async with response:
                page = document(await response.read(), str(response.url))
            return list(page.get("manifests") or [])
        await problems.discard(response)
    return []


def document(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises BadDocument."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise errors.BadDocument(what, f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise errors.BadDocument(what, "it is no JSON object")
    return found
