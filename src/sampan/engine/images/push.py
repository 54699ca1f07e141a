"""`push`, and the other things asked of a registry: its description of a name, a login."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.engine.images import happened, lazy, names, registries, told, variants
from sampan.image import platforms
from sampan.kit import errors
from sampan.registry import push as distribution
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease
    from sampan.registry.auth import Credentials


async def push(
    engine: Engine,
    lease: Lease,
    name: str,
    *,
    platform: str = "",
    every: bool = False,
    credentials: Credentials | None,
    report: Report,
) -> None:
    """Send a tagged image to the registry of its name, or all tags where the name has none; an
    index where all of it is here, or with `every` what is here of it."""
    repository = reference.parse(name).repository
    await report({"status": f"The push refers to repository [{repository}]"})
    if reference.is_bare(name):
        wanted = names.tags(engine.db, repository)
    else:
        row = engine.db.row("select name from names where name = ?", (reference.full(name),))
        wanted = [row["name"]] if row else []
    if not wanted:
        raise errors.NotFound(f"An image does not exist locally with the tag: {repository}")
    digests = [_meant(engine, one, platform, every) for one in wanted]
    lazy.must_be_whole(engine, digests)
    for one, digest in zip(wanted, digests, strict=True):
        image = engine.images.get(one)
        await send(
            engine, lease, one, digest,
            told_of=True, credentials=credentials, report=report,
        )  # fmt: skip
        names.put(engine.db, f"{repository}@{digest}", image.id, digest)


def _meant(engine: Engine, name: str, platform: str, every: bool) -> str:
    if every:
        return variants.target(engine, name)
    return variants.manifest(engine, name, platform) if platform else variants.whole(engine, name)


async def send(
    engine: Engine,
    lease: Lease,
    name: str,
    digest: str,
    *,
    by_digest: bool = False,
    told_of: bool = False,
    credentials: Credentials | None,
    report: Report,
) -> None:
    """A manifest or index that is here, as the tag of the name, or by its digest alone."""
    wanted = reference.parse(name)
    lease.hold_all(platforms.reachable(engine.store, [digest]))
    if not told_of:
        await report({"status": f"The push refers to repository [{wanted.repository}]"})
    async with (
        registries.client(engine, wanted, credentials) as client,
        told.Teller(report, told.PUSH) as tell,
    ):
        target = await distribution.push(
            client,
            lease.store,
            digest,
            "" if by_digest else wanted.identifier,
            mount_from=lambda digest: _others(engine, wanted, digest),
            on_event=tell,
        )
    tag, size = wanted.identifier, target["size"]
    await report({"status": f"{tag}: digest: {digest} size: {size}"})
    await report({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": size}})
    shown = reference.familiar(str(wanted))
    happened.publish(engine, "push", shown, shown)


def _others(engine: Engine, wanted: reference.Reference, digest: str) -> Sequence[str]:
    """Repositories of the same registry whose images, pulled or pushed before, have the blob."""
    rows = engine.db.rows(
        "select n.name, i.manifest from names n join images i on i.id = n.image_id"
        " where n.name like ? || '/%@%'",
        (wanted.domain,),
    )
    found = set()
    for row in rows:
        with engine.store.open(row["manifest"]) as file:
            document = json.load(file)
        if any(layer["digest"] == digest for layer in document.get("layers") or []):
            found.add(reference.parse(row["name"]).path)
    return sorted(found - {wanted.path})


async def distribution_of(
    engine: Engine, name: str, *, credentials: Credentials | None
) -> dict[str, Any]:
    """What the registry has under a name: descriptor and platforms."""
    wanted = reference.parse(name)
    async with registries.client(engine, wanted, credentials) as client:
        target = await client.resolve()
    document = json.loads(target.data)
    platforms = [
        entry["platform"] for entry in document.get("manifests") or [] if entry.get("platform")
    ]
    if not platforms:
        here = oci_image.host_platform()
        platforms = [{"architecture": here.architecture, "os": here.os}]
    return {"Descriptor": target.descriptor, "Platforms": platforms}


async def login(engine: Engine, address: str, credentials: Credentials | None) -> None:
    """Try a user name and password at a registry. Unauthorized where it refuses them."""
    domain = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if domain in ("", "index.docker.io"):
        domain = "docker.io"
    if not reference.is_domain(domain):
        raise errors.InvalidArgument(f"{address!r} is no registry: give HOST or HOST:PORT")
    wanted = reference.Reference(domain=domain, path="library/login", tag="latest")
    async with registries.client(engine, wanted, credentials) as client:
        await client.ping()
