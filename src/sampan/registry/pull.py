"""One image out of a registry into a store: several layers at once, each verified as it streams.

    pulled = await pull(client, identifier, store=…, platform=…, tell=…)

`store` is any object of the Protocol below (the engine hands in its content store). A blob that
broke off is gone on with by a range request, in this call or in a later one.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Protocol

from sampan.kit.record import Record
from sampan.kit.threads import in_thread
from sampan.registry import errors
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from sampan.registry.client import Client, Manifest

AT_ONCE = 4
_ATTEMPTS = 5


class Ingest(Protocol):
    offset: int

    def write(self, chunk: bytes) -> None: ...
    def reset(self) -> None: ...
    def commit(self, expected: str | None = None, size: int | None = None) -> str: ...


class Store(Protocol):
    def __contains__(self, digest: str) -> bool: ...
    def write(self, name: str | None = None) -> AbstractContextManager[Ingest]: ...


class Event(Record):
    """What became of a layer: waiting, downloading, downloaded, exists, unpacked."""

    layer: str
    what: str
    current: int = 0
    total: int = 0


class Pulled(Record):
    target: str  # digest of what the name stands for: an index or the manifest
    manifest: str
    media_type: str
    size: int


async def pull(
    client: Client,
    identifier: str,
    *,
    store: Store,
    platform: oci_image.Platform,
    tell: Callable[[Event], Awaitable[None]],
    complete: Callable[[dict[str, Any], str, list[str]], Awaitable[None]],
) -> Pulled:
    """Everything that the image needs is in the store on return.

    `complete(layer descriptor, diff_id, chain ids up to it)` is awaited for each layer as soon as
    its bytes are there, so that unpacking overlaps with the others' way here.
    """
    first = await client.manifest(identifier)
    manifest = await _choose(client, first, platform, store)
    document = json.loads(manifest.data)
    config = document["config"]
    if config["digest"] not in store:
        await _fetch(client, store, config, _silent)
    layers = await _layers(store, document)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(layer: dict[str, Any], diff_id: str, chain: list[str]) -> None:
        async with limit:
            if layer["digest"] in store:
                await tell(Event(layer=layer["digest"], what="exists"))
            else:
                await _fetch(client, store, layer, tell)
                await tell(Event(layer=layer["digest"], what="downloaded"))
        await complete(layer, diff_id, chain)
        await tell(Event(layer=layer["digest"], what="unpacked"))

    for layer, _, _ in layers:
        await tell(Event(layer=layer["digest"], what="waiting"))
    await _all(one(*arguments) for arguments in layers)
    for found in (first, manifest):
        await in_thread(_keep, store, found)
    return Pulled(
        target=first.digest,
        manifest=manifest.digest,
        media_type=manifest.media_type,
        size=len(manifest.data),
    )


async def _all(work: Any) -> None:
    """Run together; the first failure cancels the rest and is raised when they are done."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _choose(
    client: Client, first: Manifest, platform: oci_image.Platform, store: Store
) -> Manifest:
    document = _parse(first)
    kind = oci_image.media_type(document)
    if "schemaVersion" in document and document["schemaVersion"] == 1:
        raise errors.Refused("this image has the old manifest schema 1, which is not supported")
    if kind in oci_image.INDEXES:
        entry = oci_image.choose(document, platform)
        return await _choose(client, await client.manifest(entry["digest"]), platform, store)
    if kind not in oci_image.MANIFESTS or "config" not in document:
        raise errors.Refused(f"{first.digest} is a {kind}, not an image")
    return first


def _parse(manifest: Manifest) -> dict[str, Any]:
    try:
        document = json.loads(manifest.data)
    except ValueError as error:
        raise errors.CorruptBlob(manifest.digest, f"it is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise errors.CorruptBlob(manifest.digest, "it is no JSON object")
    return document


async def _layers(
    store: Any, manifest: dict[str, Any]
) -> list[tuple[dict[str, Any], str, list[str]]]:
    def read() -> bytes:
        with store.open(manifest["config"]["digest"]) as file:
            data: bytes = file.read()
        return data

    config = json.loads(await in_thread(read))
    pairs = oci_image.layers_of(manifest, config)
    chain = oci_image.chain_ids(diff_id for _, diff_id in pairs)
    return [(layer, diff_id, [*chain[: at + 1]]) for at, (layer, diff_id) in enumerate(pairs)]


async def _fetch(
    client: Client,
    store: Store,
    descriptor: dict[str, Any],
    tell: Callable[[Event], Awaitable[None]],
) -> None:
    digest, size = descriptor["digest"], descriptor["size"]
    for attempt in range(_ATTEMPTS):
        try:
            with store.write(digest) as ingest:
                await _stream(client, ingest, digest, size, tell)
                await in_thread(ingest.commit, digest, size)
        except errors.RegistryUnavailable:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.1 * 2**attempt)
        else:
            return


async def _stream(
    client: Client,
    ingest: Ingest,
    digest: str,
    size: int,
    tell: Callable[[Event], Awaitable[None]],
) -> None:
    if ingest.offset >= size:
        if ingest.offset > size:
            ingest.reset()
        elif size:
            return
    pending, waiting, told = [], 0, ingest.offset
    async for chunk in client.blob(digest, ingest.offset):
        if not chunk:
            ingest.reset()
            continue
        pending.append(chunk)
        waiting += len(chunk)
        if ingest.offset + waiting > size:
            raise errors.CorruptBlob(digest, f"more than its {size} bytes came")
        if waiting >= 1 << 20:
            await in_thread(ingest.write, b"".join(pending))
            pending, waiting = [], 0
            if ingest.offset - told >= 4 << 20:
                told = ingest.offset
                await tell(Event(layer=digest, what="downloading", current=told, total=size))
    if pending:
        await in_thread(ingest.write, b"".join(pending))


def _keep(store: Store, manifest: Manifest) -> None:
    with store.write() as ingest:
        ingest.write(manifest.data)
        ingest.commit(manifest.digest)


async def _silent(_: Event) -> None:
    return
