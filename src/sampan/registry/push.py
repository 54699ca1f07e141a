"""One image out of a store into a registry: the blobs it has not, then the manifest."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from sampan.kit.threads import in_thread
from sampan.registry.pull import AT_ONCE, Event, _all
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sampan.registry.client import Client

_CHUNK = 1 << 20


class Source(Protocol):
    def open(self, digest: str) -> BinaryIO: ...
    def size(self, digest: str) -> int: ...


async def push(
    client: Client,
    tag: str,
    manifest_digest: str,
    *,
    store: Source,
    tell: Callable[[Event], Awaitable[None]],
) -> int:
    """Upload what is missing, then name it; the manifest's size in bytes."""
    data = await in_thread(_read, store, manifest_digest)
    document = json.loads(data)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(descriptor: dict[str, Any], *, silent: bool = False) -> None:
        digest, size = descriptor["digest"], descriptor["size"]
        async with limit:
            if await client.has_blob(digest):
                what = "exists"
            else:
                report = _ignore if silent else tell
                await client.put_blob(digest, size, _chunks(store, digest, size, report))
                what = "pushed"
        if not silent:
            await tell(Event(layer=digest, what=what, total=size))

    for layer in document["layers"]:
        await tell(Event(layer=layer["digest"], what="waiting"))
    work = [one(layer) for layer in {item["digest"]: item for item in document["layers"]}.values()]
    await _all([*work, one(document["config"], silent=True)])
    await client.put_manifest(tag, data, oci_image.media_type(document))
    return len(data)


def _read(store: Source, digest: str) -> bytes:
    with store.open(digest) as file:
        return file.read()


async def _chunks(
    store: Source, digest: str, size: int, tell: Callable[[Event], Awaitable[None]]
) -> AsyncIterator[bytes]:
    sent = 0
    with store.open(digest) as file:
        while chunk := await in_thread(file.read, _CHUNK):
            yield chunk
            sent += len(chunk)
            await tell(Event(layer=digest, what="pushing", current=sent, total=size))


async def _ignore(_: Event) -> None:
    return
