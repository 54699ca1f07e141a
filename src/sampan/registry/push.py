"""Push: an image from a store to a registry: blobs at once, then what names them.

    digest = await push(client, store, manifest_digest, tag, mount_from=…, on_event=…)

A blob that is there is not sent; one that is known in another repository of the same registry is
mounted from it. Manifests follow their blobs, an index its manifests, the tag comes last.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import tags
from sampan.registry.events import Event, Meter, silent
from sampan.registry.pull import AT_ONCE, _digest, _first_error, _size
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.registry.client import Client
    from sampan.registry.events import Listener
    from sampan.registry.store import Store

_FOREIGN = ("nondistributable", "foreign")


async def push(
    client: Client,
    store: Store,
    digest: str,
    tag: str = "",
    *,
    mount_from: Callable[[str], Sequence[str]] = lambda digest: (),
    on_event: Listener = silent,
) -> dict[str, Any]:
    """Push the manifest or index `digest` and all it names, as `tag` (default: by digest only).

    `mount_from(blob digest)` names repositories (paths) of the same registry that have the blob.
    Returns the target's descriptor. Raises registry.errors' and NotFound for missing blobs.
    """
    job = _Push(client, store, mount_from, on_event)
    target = await job.manifest(digest, tag or digest)
    on_event(Event(kind="digest", digest=digest, total=target["size"], subject=tag))
    return target


class _Push:
    def __init__(
        self,
        client: Client,
        store: Store,
        mount_from: Callable[[str], Sequence[str]],
        on_event: Listener,
    ) -> None:
        self._client, self._store, self._on_event = client, store, on_event
        self._mount_from = mount_from
        client.tell(on_event)
        self._uploads = client.uploads
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def manifest(self, digest: str, identifier: str) -> dict[str, Any]:
        data = await in_thread(self._read, digest)
        document = oci_image.decode(data, f"manifest {digest}")
        media_type = oci_image.media_type(document)
        if media_type in oci_image.INDEXES:
            for entry in document.get("manifests") or []:
                if _is_document(entry):
                    await self._child(_digest(entry))
                else:
                    await self._blob(entry, self._on_event)
        else:
            await self._blobs(document)
        if identifier != digest and not digest.startswith("sha256:"):  # a tag means its sha256
            await self._client.push_manifest(digest, media_type, data)
        await self._client.push_manifest(identifier, media_type, data)
        described = {"mediaType": media_type, "digest": digest, "size": len(data)}
        if isinstance(document.get("subject"), dict):
            await self._refer(document, described)
        return described

    async def _refer(self, document: dict[str, Any], described: dict[str, Any]) -> None:
        """A registry that does not list what has a subject gets the list as a tag
        (distribution-spec 1.1, "Pushing Manifests with Subject")."""
        subject = _digest(document["subject"])
        listed = await self._client.referrers(subject)
        if any(one.get("digest") == described["digest"] for one in listed):
            return
        kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
        entry = {**described, "artifactType": kind}
        if document.get("annotations"):
            entry["annotations"] = document["annotations"]
        index = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": [*listed, entry]}
        tag = tags.of_referrers(subject)
        await self._client.push_manifest(tag, oci_image.INDEX, oci_image.encode(index))

    async def _child(self, digest: str) -> None:
        """A manifest of an index; one that is not here must be there already."""
        if digest in self._store:
            await self.manifest(digest, digest)
        elif not await self._client.has_manifest(digest):
            raise kinds.NotFound(f"manifest {digest} is neither here nor in the registry")

    def _read(self, digest: str) -> bytes:
        with self._store.open(digest) as file:
            return file.read()

    async def _blobs(self, manifest: dict[str, Any]) -> None:
        layers = [item for item in manifest.get("layers") or [] if not _foreign(item)]
        unique = {_digest(item): item for item in layers}
        for digest, item in unique.items():
            self._on_event(Event(kind="layer", digest=digest, total=_size(item)))
        async with _first_error(), asyncio.TaskGroup() as group:
            for item in unique.values():
                group.create_task(self._blob(item, self._on_event))
            if manifest.get("config"):
                group.create_task(self._blob(manifest["config"], silent))

    async def _blob(self, descriptor: dict[str, Any], on_event: Listener) -> None:
        digest, size = _digest(descriptor), _size(descriptor)
        async with self._slots:
            if await self._uploads.exists(digest):
                on_event(Event(kind="exists", digest=digest, total=size))
                return
            for source in self._mount_from(digest):
                if source != self._client.reference.path and await self._uploads.mount(
                    digest, source
                ):
                    on_event(Event(kind="mounted", digest=digest, total=size, message=source))
                    return
            meter = Meter(on_event, digest, size)
            await self._uploads.push(descriptor, self._store, meter.show)
            on_event(Event(kind="transferred", digest=digest, total=size))


def _is_document(entry: dict[str, Any]) -> bool:
    """A build's cache may be an index of blobs (moby/buildkit, image-manifest=false)."""
    kind = entry.get("mediaType", "")
    return not kind or kind in oci_image.MANIFESTS or kind in oci_image.INDEXES


def _foreign(descriptor: dict[str, Any]) -> bool:
    """Layers that may not be distributed stay where their `urls` point."""
    return any(word in str(descriptor.get("mediaType")) for word in _FOREIGN)
