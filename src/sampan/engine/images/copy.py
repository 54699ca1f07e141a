"""`image copy`: from any place to any other, every byte and digest kept.

A place is a registry, this engine's store, or an archive that comes or goes as a stream. What is
copied passes through the content store under a lease: nothing of it stays, unless the store is
where it goes to. Without a platform all of an index goes along, attestations and all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine.images import archives, happened, register, registries, told, variants
from sampan.image import archive, platforms
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.kit.threads import in_own_thread
from sampan.registry import pull as distribution
from sampan.registry import push as publication
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease
    from sampan.registry.auth import Credentials

KINDS = ("registry", "store", "archive")


class Place(Record):
    kind: str  # one of KINDS
    name: str = ""  # a reference; of an archive, what to take out of it or to write into it
    credentials: Credentials | None = None
    chunks: AsyncIterator[bytes] | None = None  # an archive that comes in


class Found(Record):
    digest: str
    names: tuple[str, ...]


def check(source: Place, to: Place) -> None:
    """Refuse what cannot be, before any byte moves. Raises InvalidArgument."""
    for place in (source, to):
        if place.kind not in KINDS:
            raise errors.InvalidArgument(f"{place.kind!r} is no place: {', '.join(KINDS)}")
        if place.kind != "archive" and not place.name:
            raise errors.InvalidArgument(f"a {place.kind} needs the name of an image")
        if place.name:
            reference.parse(place.name)
    if to.kind == "registry" and reference.parse(to.name).digest:
        raise errors.InvalidArgument("cannot copy to a digest; give a tag")


async def copy(
    engine: Engine, source: Place, to: Place, *, platform: str = "", report: Report
) -> None:
    """To a registry or the store."""
    check(source, to)
    with engine.images.lease(f"copy {source.name} to {to.name}") as lease:
        found = await _bring(engine, lease, source, platform, report)
        if to.kind == "registry":
            one = _only(found, source)
            await _push(engine, lease, one.digest, to, report)
        else:
            await _keep(engine, lease, _only(found, source).digest, to.name, report)


async def copy_out(
    engine: Engine, source: Place, to: Place, *, platform: str = "", report: Report
) -> AsyncIterator[bytes]:
    """To an archive: its bytes."""
    check(source, to)
    with engine.images.lease(f"copy {source.name} to an archive") as lease:
        found = await _bring(engine, lease, source, platform, report)
        names = (reference.full(to.name),) if to.name else ()
        if names:
            found = [_only(found, source)]
        saved = [archive.Saved(digest=one.digest, names=names or one.names) for one in found]
        async for chunk in archives.produced(lambda write: archive.save(lease.store, saved, write)):
            yield chunk


def _only(found: list[Found], source: Place) -> Found:
    if len(found) == 1:
        return found[0]
    names = [reference.familiar(name) for one in found for name in one.names]
    shown = ", ".join(names) or "none of which has a name"
    raise errors.InvalidArgument(
        f"the archive holds {len(found)} images, say which one to take: {shown}"
    )


# -- from


async def _bring(
    engine: Engine, lease: Lease, source: Place, platform: str, report: Report
) -> list[Found]:
    wanted = oci_image.parse_platform(platform) if platform else None
    if source.kind == "registry":
        return [await _fetch(engine, lease, source, wanted, report)]
    if source.kind == "store":
        digest = _stored(engine, source.name, platform)
        lease.hold_all(platforms.reachable(engine.store, [digest]))
        names = () if engine.images.is_id(source.name) else (reference.full(source.name),)
        return [Found(digest=digest, names=names)]
    if source.chunks is None:
        raise errors.InvalidArgument("no archive was sent")
    async with archives.piped(source.chunks) as stream:
        entries = await in_own_thread(archive.read_all, lease.store, stream)
    found = [Found(digest=e.descriptor["digest"], names=e.names) for e in entries]
    if source.name:
        full = reference.full(source.name)
        found = [one for one in found if full in one.names]
        if not found:
            raise errors.NotFound(f"the archive has no image {reference.familiar(full)}")
    if wanted is not None:
        found = [
            one.replace(digest=platforms.find(lease.store, one.digest, wanted)) for one in found
        ]
    return found


def _stored(engine: Engine, name: str, platform: str) -> str:
    """All of an index where all is here; else the image that runs."""
    if platform:
        return variants.manifest(engine, name, platform)
    target = variants.target(engine, name)
    complete = all(member.here for member in platforms.members(engine.store, target))
    return target if complete else engine.images.get(name).manifest


async def _fetch(
    engine: Engine,
    lease: Lease,
    source: Place,
    platform: oci_image.Platform | None,
    report: Report,
) -> Found:
    wanted = reference.parse(source.name)
    async with (
        registries.client(engine, wanted, source.credentials) as client,
        told.Teller(report, told.PULL) as tell,
    ):
        if platform is None:
            target = await distribution.pull_all(client, lease.store, on_event=tell)
        else:
            pulled = await distribution.pull(client, lease.store, platform=platform, on_event=tell)
            target = pulled.manifest
    return Found(digest=target["digest"], names=(str(wanted),) if wanted.tag else ())


# -- to


async def _push(engine: Engine, lease: Lease, digest: str, to: Place, report: Report) -> None:
    wanted = reference.parse(to.name)
    async with (
        registries.client(engine, wanted, to.credentials) as client,
        told.Teller(report, told.PUSH) as tell,
    ):
        target = await publication.push(
            client, lease.store, digest, wanted.identifier, on_event=tell
        )
    await _done(report, target["digest"], str(wanted))


async def _keep(engine: Engine, lease: Lease, digest: str, name: str, report: Report) -> None:
    manifest = platforms.shown(lease.store, digest)
    if manifest is None:
        raise errors.InvalidArgument(
            f"{digest} is no image that could run; the store keeps only such"
        )
    image_id = await register.register(
        engine, lease, manifest, [reference.full(name)], target=digest
    )
    happened.publish(engine, "load", image_id, name)
    await _done(report, digest, reference.full(name))


async def _done(report: Report, digest: str, name: str) -> None:
    await report({"status": f"Digest: {digest}"})
    message: dict[str, Any] = {"status": f"Copied to {reference.familiar(name)}"}
    await report({**message, "aux": {"Digest": digest, "Name": name}})
