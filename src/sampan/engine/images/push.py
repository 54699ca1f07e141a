"""`push`, and the other things that are asked of a registry: its description of a name, a login."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.engine.images import names
from sampan.engine.images.pull import message
from sampan.kit import errors
from sampan.registry import hosts
from sampan.registry import push as distribution_push
from sampan.registry.client import Client
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.registry.pull import Event

_WORDS = {
    "waiting": "Preparing",
    "pushing": "Pushing",
    "pushed": "Pushed",
    "exists": "Layer already exists",
}


async def push(engine: Engine, name: str, *, credentials: dict[str, str], report: Report) -> None:
    """Send a tagged image to the registry of its name."""
    wanted = reference.parse(name)
    row = engine.db.row("select * from names where name = ?", (str(wanted),))
    if row is None:
        raise errors.NotFound(f"An image does not exist locally with the tag: {wanted.repository}")
    image = engine.images.get(row["image_id"])
    await report({"status": f"The push refers to repository [{wanted.repository}]"})

    async def tell(event: Event) -> None:
        await report(message(event, _WORDS[event.what]))

    async with (
        engine.images.writers.writing(),
        Client(wanted, credentials, push=True) as client,
    ):
        size = await distribution_push.push(
            client, wanted.identifier, image.manifest, store=engine.store, tell=tell
        )
    names.put(engine.db, f"{wanted.repository}@{image.manifest}", image.id, image.manifest)
    tag, digest = wanted.identifier, image.manifest
    await report({"status": f"{tag}: digest: {digest} size: {size}"})
    await report({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": size}})
    shown = reference.familiar(str(wanted))
    engine.events.publish("image", "push", shown, {"name": shown})


async def distribution(engine: Engine, name: str, *, credentials: dict[str, str]) -> dict[str, Any]:
    """What the registry has under a name: descriptor and platforms."""
    wanted = reference.parse(name)
    async with Client(wanted, credentials) as client:
        manifest = await client.manifest(wanted.identifier)
    document = json.loads(manifest.data)
    platforms = [
        entry["platform"] for entry in document.get("manifests") or [] if entry.get("platform")
    ]
    if not platforms:
        here = oci_image.host_platform()
        platforms = [{"architecture": here.architecture, "os": here.os}]
    descriptor = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.data),
    }
    return {"Descriptor": descriptor, "Platforms": platforms}


async def login(address: str, credentials: dict[str, Any]) -> None:
    """Try a user name and password at a registry. Unauthorized where it refuses them."""
    domain = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if domain in ("", "index.docker.io"):
        domain = "docker.io"
    hosts.hosts_of(domain)
    wanted = reference.Reference(domain=domain, path="library/login", tag="latest")
    given = {key: str(value) for key, value in credentials.items() if value}
    async with Client(wanted, given) as client:
        try:
            await client.manifest("latest")
        except errors.NotFound:
            return  # nobody has such an image, but the login was accepted
