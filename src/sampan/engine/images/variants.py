"""The platforms that an image's name stands for, here or not: what `--platform` chooses among.

An image's row is the one that runs on this host (or was pulled for another platform by name). Its
names remember the index that they were pulled as, and the index's other images may be stored, too:
`pull --all-platforms` and `load` bring them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.image import content, platforms
from sampan.kit import errors
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Image
    from sampan.image.content import ContentStore


class NotForPlatform(errors.NotFound):
    """Docker's sentence."""

    def __init__(self, name: str, platform: object) -> None:
        super().__init__(
            f"image with reference {name} was found but does not provide the specified platform"
            f" ({platform})"
        )


def target(engine: Engine, name: str) -> str:
    """The digest that a name stands for: of an index, or of the manifest itself."""
    image = engine.images.get(name)
    found: str | None
    if engine.images.is_id(name):
        names = engine.db.rows(
            "select target from names where image_id = ? order by updated desc", (image.id,)
        )
        found = next((row[0] for row in names if row[0] in engine.store), None)
    else:
        found = engine.db.value("select target from names where name = ?", (reference.full(name),))
    return found if found and found in engine.store else image.manifest


def whole(engine: Engine, name: str) -> str:
    """What `push` and `save` of a name mean: the index, where all of it is here; else the image."""
    found = target(engine, name)
    if found not in engine.store or engine.images.is_id(name):
        return manifest(engine, name, "")
    here = all(member.here for member in platforms.members(engine.store, found))
    return found if here else manifest(engine, name, "")


def manifest(engine: Engine, name: str, platform: str) -> str:
    """The manifest of an image for a platform, with all its blobs here; NotForPlatform."""
    image = engine.images.get(name)
    if not platform:
        return _own(engine, name, image)
    wanted = oci_image.parse_platform(platform)
    try:
        found = platforms.find(engine.store, target(engine, name), wanted)
    except errors.NotFound:
        raise NotForPlatform(name, wanted) from None
    there = platforms.members(engine.store, found)[0]
    if not there.here or there.platform is None or not suits(there.platform, wanted):
        raise NotForPlatform(name, wanted)
    return found


def _own(engine: Engine, name: str, image: Image) -> str:
    """Several manifests may have one config (and so one id); a name means one of them."""
    for member in platforms.members(engine.store, target(engine, name)):
        digest = str(member.descriptor["digest"])
        if not member.here or member.attests or member.platform is None:
            continue
        if config(engine, digest)[0] == image.id:
            return digest
    return image.manifest


def platform_of(image_config: dict[str, Any]) -> oci_image.Platform:
    """The platform that an image config names; this host's, where it names none."""
    here = oci_image.host_platform()
    return oci_image.Platform(
        os=image_config.get("os") or here.os,
        architecture=image_config.get("architecture") or here.architecture,
        variant=image_config.get("variant") or "",
    )


def suits(platform: oci_image.Platform, wanted: oci_image.Platform) -> bool:
    """Whether what is built for `platform` is what `wanted` asks for."""
    described = {"os": platform.os, "architecture": platform.architecture}
    described["variant"] = platform.variant
    try:
        oci_image.choose({"manifests": [{"platform": described}]}, wanted)
    except oci_image.NoMatchingPlatform:
        return False
    return True


def config(engine: Engine, manifest_digest: str) -> tuple[str, dict[str, Any]]:
    """(image id, image config) of a manifest."""
    document = platforms.decode(engine.store, manifest_digest)
    data = content.read(engine.store, str(document["config"]["digest"]))
    return oci_image.digest_of(data), oci_image.decode(data, manifest_digest)


def descriptor(store: ContentStore, digest: str) -> dict[str, Any]:
    if digest not in store:
        return {"mediaType": oci_image.MANIFEST, "digest": digest, "size": 0}
    kind = oci_image.media_type(platforms.decode(store, digest))
    return {"mediaType": kind, "digest": digest, "size": store.size(digest)}


def summaries(engine: Engine, name: str) -> list[dict[str, Any]]:
    """Docker's ImageManifestSummary of each member (API 1.47, `manifests=1`); of an id, the members
    of all that its names stand for."""
    targets = {target(engine, name): None}
    if engine.images.is_id(name):
        image_id = engine.images.get(name).id
        rows = engine.db.rows("select target from names where image_id = ?", (image_id,))
        targets |= {row[0]: None for row in rows}
    members = [
        member
        for digest in targets
        if digest in engine.store
        for member in platforms.members(engine.store, digest)
    ]
    unique = {str(member.descriptor["digest"]): member for member in members}
    return [_summary(engine, member) for member in unique.values()]


def _summary(engine: Engine, member: platforms.Member) -> dict[str, Any]:
    digest = str(member.descriptor["digest"])
    stored = platforms.reachable(engine.store, [digest])
    content = sum(engine.store.size(one) for one in stored)
    told: dict[str, Any] = {
        "ID": digest,
        "Descriptor": member.descriptor,
        "Available": member.here,
        "Kind": "attestation" if member.attests else "image" if member.platform else "unknown",
        "Size": {"Content": content, "Total": content},
    }
    if member.attests:
        told["AttestationData"] = {"For": member.attests}
    elif member.platform is not None:
        platform = {"architecture": member.platform.architecture, "os": member.platform.os}
        if member.platform.variant:
            platform["variant"] = member.platform.variant
        row = engine.db.row("select id, size from images where manifest = ?", (digest,))
        used = (
            engine.db.rows("select id from containers where image_id = ?", (row["id"],))
            if row
            else []
        )
        unpacked = row["size"] if row else 0
        told["ImageData"] = {
            "Platform": platform,
            "Size": {"Unpacked": unpacked},
            "Containers": [one[0] for one in used],
        }
        told["Size"]["Total"] = content + unpacked
    return told
