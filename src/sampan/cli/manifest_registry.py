"""What `sampan manifest` asks of registries, itself: no engine has to run for it."""

from __future__ import annotations

import asyncio
import json

from sampan.cli import config_file, manifest_lists
from sampan.kit import errors
from sampan.registry import client as registry
from sampan.registry import credentials, hosts
from sampan.registry import errors as registry_errors
from sampan.spec import oci_image, reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sampan.cli.manifest_lists import Entry
    from sampan.cli.session import Session
    from sampan.registry.manifests import Target


def image(session: Session, name: reference.Reference, *, insecure: bool) -> Entry:
    """An image's manifest. Raises what the registry refuses, InvalidArgument for a list."""
    found = inspect(session, name, insecure=insecure)
    if isinstance(found, list):
        raise errors.InvalidArgument(f"{name} is a manifest list")
    return found


def inspect(session: Session, name: reference.Reference, *, insecure: bool) -> Entry | list[Entry]:
    """An image's manifest, or those of a list."""

    async def ask() -> Entry | list[Entry]:
        async with _client(session, name, insecure) as client:
            try:
                target = await client.resolve()
            except (registry_errors.ManifestUnknown, registry_errors.RepositoryUnknown) as error:
                raise errors.NotFound(f"no such manifest: {name}") from error
            if target.media_type not in oci_image.INDEXES:
                return await _entry(client, name, target)
            index = oci_image.decode(target.data, target.digest)
            return [await _member(client, name, item) for item in oci_image.entries(index)]

    return asyncio.run(ask())


async def _member(
    client: registry.Client, name: reference.Reference, item: dict[str, Any]
) -> Entry:
    member = name.replace(digest=item["digest"])
    found = await _entry(client, member, await client.resolve(item["digest"]))
    if item.get("platform"):
        found["Descriptor"]["platform"] = manifest_lists.platform(item["platform"])
    return found


async def _entry(client: registry.Client, name: reference.Reference, target: Target) -> Entry:
    if target.media_type not in oci_image.MANIFESTS:
        raise errors.Unsupported(f"{name} is no image: its manifest is a {target.media_type}")
    config: dict[str, Any] = {}
    described = oci_image.decode(target.data, target.digest).get("config") or {}
    if described.get("mediaType") in oci_image.CONFIGS:
        async with client.fetch(described) as blob:
            config = json.loads(b"".join([chunk async for chunk in blob.chunks()]))
    return manifest_lists.entry(name, target.media_type, target.data, config)


def push(
    session: Session, target: reference.Reference, found: Sequence[Entry], *, insecure: bool
) -> str:
    """Send a list, and before it the images that another repository of the registry has; the
    list's digest."""
    manifest_lists.must_run_somewhere(found)
    media_type, data = manifest_lists.document(target, found)

    async def send() -> str:
        async with _client(session, target, insecure) as client:
            for item in found:
                source = reference.parse(item["Ref"])
                if source.path != target.path:
                    await _bring(client, source, item)
                    digest = item["Descriptor"]["digest"]
                    shown = f"{target.repository}@{digest}"
                    print(f"Pushed ref {shown} with digest: {digest}", flush=True)
            return await client.push_manifest(target.identifier, media_type, data)

    return asyncio.run(send())


async def _bring(client: registry.Client, source: reference.Reference, item: Entry) -> None:
    """Blobs are mounted, never sent: the registry has them."""
    document = manifest_lists.manifest(item)
    for blob in (document["config"], *(document.get("layers") or ())):
        digest = blob["digest"]
        if await client.uploads.exists(digest) or await client.uploads.mount(digest, source.path):
            continue
        raise errors.Conflict(f"error mounting {source.repository}@{digest} to {client.reference}")
    described = item["Descriptor"]
    data = manifest_lists.raw(item)
    await client.push_manifest(described["digest"], described["mediaType"], data)


def _client(session: Session, name: reference.Reference, insecure: bool) -> registry.Client:
    found = config_file.credentials(session.config, config_file.registry_of(str(name)))
    return registry.Client(
        name,
        credentials=credentials.from_entry(found) if found else None,
        of_mirror=credentials.find,
        hosts=hosts.Config(insecure=(name.domain,) if insecure else ()),
    )
