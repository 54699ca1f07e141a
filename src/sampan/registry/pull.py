"""Pull: a manifest, its config and its layers from a registry into a store.

    pulled = await pull(client, store, platform=…, on_event=…, on_config=…, on_layer=…)

Several blobs are under way at once. Each is checked against size and digest while it streams and
becomes visible only when both are right; what a broken connection or a crash left is gone on with.
`on_layer(descriptor, diff_id)` is awaited for each layer, base first and one at a time, as soon as
it and all below it are stored: so unpacking goes on while the layers above still come. `on_config`
is told all of them before, as soon as the config is there; what of a layer has come is then in the
ingest `download.name(digest)`. A layer that `elsewhere` takes, asked before its bytes, is not
fetched here; `on_layer` is told of it like of the others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sampan.kit import errors as kinds
from sampan.kit.record import Record
from sampan.kit.threads import in_thread
from sampan.registry import errors
from sampan.registry.download import download
from sampan.registry.events import Event, silent
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.registry.client import Client
    from sampan.registry.events import Listener
    from sampan.registry.manifests import Target
    from sampan.registry.store import Store

    OnConfig = Callable[[list[tuple[dict[str, Any], str]]], object]
    OnLayer = Callable[[dict[str, Any], str], Awaitable[None]]
    Elsewhere = Callable[[dict[str, Any]], Awaitable[bool]]

AT_ONCE = 4  # blobs of one pull
_CONFIGS = (oci_image.CONFIG, oci_image.DOCKER_CONFIG, "application/octet-stream", "")
_LARGEST_CONFIG = 16 << 20
_under_way: WeakValueDictionary[tuple[Store, str], asyncio.Lock] = WeakValueDictionary()


class Pulled(Record):
    target: dict[str, Any]  # descriptor of what the name means: an index or a manifest
    manifest: dict[str, Any]  # descriptor of the image that was chosen
    config: dict[str, Any]  # the config, parsed
    layers: tuple[tuple[dict[str, Any], str], ...]  # (descriptor, diff_id), base first
    new: bool  # whether any bytes had to come


async def pull(
    client: Client,
    store: Store,
    *,
    platform: oci_image.Platform | None = None,
    on_event: Listener = silent,
    on_config: OnConfig | None = None,
    on_layer: OnLayer | None = None,
    elsewhere: Elsewhere | None = None,
) -> Pulled:
    """Raises registry.errors', `oci_image.NoMatchingPlatform`, and what the store raises."""
    job = _Pull(client, store, on_event)
    job.elsewhere = elsewhere
    target = await job.resolve(client.reference.identifier)
    on_event(Event(kind="source", subject=str(client.reference), digest=target.digest))
    chosen = await job.choose(target, platform or oci_image.host_platform())
    manifest = job.parse(chosen)
    config, layers = await job.image(manifest, on_config, on_layer)
    on_event(Event(kind="digest", digest=target.digest, subject=str(client.reference)))
    return Pulled(
        target=target.descriptor,
        manifest=chosen.descriptor,
        config=config,
        layers=tuple(layers),
        new=job.new,
    )


async def pull_all(client: Client, store: Store, *, on_event: Listener = silent) -> dict[str, Any]:
    """Every platform of an index, attestations included: the blobs only. Returns the target."""
    job = _Pull(client, store, on_event)
    target = await job.resolve(client.reference.identifier)
    on_event(Event(kind="source", subject=str(client.reference), digest=target.digest))
    await job.everything(target)
    on_event(Event(kind="digest", digest=target.digest, subject=str(client.reference)))
    return target.descriptor


async def blob(client: Client, store: Store, descriptor: dict[str, Any]) -> None:
    """One blob by itself, checked against its descriptor; nothing where it is here."""
    await _Pull(client, store, silent).blob(descriptor)


class _Pull:
    elsewhere: Elsewhere | None = None

    def __init__(self, client: Client, store: Store, on_event: Listener) -> None:
        self.client, self.store, self.on_event = client, store, on_event
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.new = False
        client.tell(on_event)

    # -- documents

    async def resolve(self, identifier: str) -> Target:
        """A manifest from the store where its digest is known there, else from the registry."""
        digest = identifier if ":" in identifier else await self._head(identifier)
        if digest and digest in self.store:
            known = await in_thread(self._stored, digest)
            if known is not None:
                return known
        target = await self.client.resolve(identifier)
        self.new = True
        await in_thread(self._keep, target)
        return target

    async def _head(self, identifier: str) -> str | None:
        try:
            return await self.client.head(identifier)
        except kinds.SampanError:
            return None  # GET will say it better: an answer to HEAD has no words

    def _stored(self, digest: str) -> Target | None:
        from sampan.registry.manifests import Target

        with self.store.open(digest) as file:
            data = file.read()
        try:
            media_type = oci_image.media_type(oci_image.decode(data))
        except kinds.InvalidArgument:
            return None
        return Target(media_type=media_type, digest=digest, data=data)

    def _keep(self, target: Target) -> None:
        with self.store.write() as ingest:
            ingest.write(target.data)
            ingest.commit(target.digest, len(target.data))

    def parse(self, target: Target) -> dict[str, Any]:
        name = reference.familiar(str(self.client.reference))
        document = oci_image.decode(target.data, f"the manifest of {name}")
        if document.get("schemaVersion") == 1:
            raise errors.SchemaOne(name)
        said = oci_image.media_type(document, {"mediaType": target.media_type})
        if (said in oci_image.INDEXES) != (target.media_type in oci_image.INDEXES):
            raise errors.BadDocument(name, f"it was sent as {target.media_type}, but is {said}")
        return document

    async def choose(self, target: Target, platform: oci_image.Platform) -> Target:
        """Through indexes, nested ones too, to one image."""
        for _ in range(4):
            document = self.parse(target)
            if oci_image.media_type(document) not in oci_image.INDEXES:
                return target
            entry = oci_image.choose(document, platform)
            target = await self.resolve(_digest(entry))
        raise errors.BadDocument(str(self.client.reference), "indexes are nested too deeply")

    # -- bytes

    async def image(
        self,
        manifest: dict[str, Any],
        on_config: OnConfig | None,
        on_layer: OnLayer | None,
    ) -> tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]:
        """Config and layers at once; raises the first error, with all others stopped."""
        described = manifest.get("config") or {}
        if described.get("mediaType", "") not in _CONFIGS:
            name = reference.familiar(str(self.client.reference))
            raise errors.NotAnImage(name, described["mediaType"])
        descriptors = manifest.get("layers") or []
        for descriptor in descriptors:
            digest = _digest(descriptor)
            if digest not in self.store:
                self.on_event(Event(kind="layer", digest=digest, total=_size(descriptor)))
        async with _first_error(), asyncio.TaskGroup() as group:
            first = group.create_task(self.blob(described, _LARGEST_CONFIG))
            coming = [group.create_task(self.layer(item)) for item in descriptors]
            await first
            config = await in_thread(self._json, _digest(described))
            layers = oci_image.layers_of(manifest, config)
            if on_config is not None:
                on_config(layers)
            for (descriptor, diff_id), task in zip(layers, coming, strict=True):
                existed = await task
                if on_layer is not None:
                    await on_layer(descriptor, diff_id)
                if not existed:
                    self.on_event(
                        Event(kind="complete", digest=descriptor["digest"], diff_id=diff_id)
                    )
        return config, layers

    def _json(self, digest: str) -> dict[str, Any]:
        with self.store.open(digest) as file:
            return oci_image.decode(file.read(), f"image config {digest}")

    async def layer(self, descriptor: dict[str, Any]) -> bool:
        """Returns whether it was there already."""
        if self.elsewhere and _digest(descriptor) not in self.store:
            async with self.slots:
                if await self.elsewhere(descriptor):
                    self.new = True
                    return False
        existed = await self.blob(descriptor)
        kind = "exists" if existed else "transferred"
        self.on_event(Event(kind=kind, digest=descriptor["digest"], total=_size(descriptor)))
        return existed

    async def blob(self, descriptor: dict[str, Any], most: int | None = None) -> bool:
        """Into the store, once, whoever else wants it. Returns whether it was there already."""
        digest, size = _digest(descriptor), _size(descriptor)
        if most is not None and size > most:
            raise errors.BadDocument(digest, f"{size} bytes are too many for a config")
        if digest in self.store:
            return True
        key = (self.store, digest)
        lock = _under_way.setdefault(key, asyncio.Lock())
        async with lock, self.slots:
            if digest in self.store:
                return True
            await download(self.client, descriptor, self.store, self.on_event, self.slots)
            self.new = True
        return False

    async def everything(self, target: Target) -> None:
        document = self.parse(target)
        if oci_image.media_type(document) in oci_image.INDEXES:
            for entry in document.get("manifests") or []:
                await self.everything(await self.resolve(_digest(entry)))
            return
        wanted = [document.get("config"), *(document.get("layers") or [])]
        async with _first_error(), asyncio.TaskGroup() as group:
            for descriptor in filter(None, wanted):
                group.create_task(self.layer(descriptor))


class _first_error:
    """What a TaskGroup raises is the first error; the others were stopped because of it."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BaseExceptionGroup):
            first = error.exceptions[0]
            raise first from first.__cause__


def _digest(descriptor: dict[str, Any]) -> str:
    """Checked here, because it becomes a path and an address. Raises BadDocument."""
    digest = descriptor.get("digest")
    if not isinstance(digest, str) or not reference.valid_digest(digest):
        raise errors.BadDocument("descriptor", f"{digest!r} is no digest")
    if digest.partition(":")[0] not in ("sha256", "sha512"):
        raise kinds.Unsupported(f"{digest}: only sha256 and sha512 can be checked")
    return digest


def _size(descriptor: dict[str, Any]) -> int:
    size = descriptor.get("size")
    if not isinstance(size, int) or size < 0:
        raise errors.BadDocument(f"descriptor of {descriptor.get('digest')}", "its size is missing")
    return size
