"""From what was built to the documents of an image: a manifest, or an index of several.

    made = assemble(store, [Built(platform, state)], output, predicates=…, based_on=…)
    made.target, made.images[0].manifest, made.images[0].image_id

The same inputs give the same bytes, whatever the form: nothing here knows the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sampan.build import output_options
from sampan.image import attestation, content, convert
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sampan.build.output_options import Output
    from sampan.build.state import State
    from sampan.image.attestation import Predicate
    from sampan.image.content import ContentStore
    from sampan.spec.oci_image import Platform


class Built(Record):
    platform: Platform
    state: State


class Written(Record):
    """One platform's image."""

    platform: Platform
    manifest: dict[str, Any]  # descriptor
    image_id: str


class Assembled(Record):
    target: dict[str, Any]  # descriptor: an index, or the only manifest
    images: tuple[Written, ...]

    @property
    def main(self) -> Written:
        """What an engine of this host shows of it."""
        host = oci_image.host_platform()
        same = [one for one in self.images if one.platform.architecture == host.architecture]
        return (same or self.images)[0]


def assemble(
    store: ContentStore,
    built: Sequence[Built],
    output: Output,
    *,
    predicates: Mapping[str, Sequence[Predicate]],
    based_on: Collection[str],
) -> Assembled:
    """`predicates` by platform; `based_on` are the diff_ids of base images' layers."""
    images = tuple(_image(store, one, output, based_on) for one in built)
    attested = any(predicates.values())
    if attested and not output.oci:
        raise errors.InvalidArgument('cannot export attestations with "oci-mediatypes=false"')
    if len(images) == 1 and not attested:
        _single(output)
        return Assembled(target=images[0].manifest, images=images)
    entries = [_entry(one, output) for one in images]
    for one in images:
        if said := predicates.get(str(one.platform)):
            statements = [(p.type, _statement(p, one, output)) for p in said]
            entries.append(
                attestation.add(store, one.manifest, statements, artifact=output.artifact)
            )
    return Assembled(target=_index(store, entries, output), images=images)


def _single(output: Output) -> None:
    for level in ("index", "index-descriptor", "manifest-descriptor"):
        if output_options.of_level(output.annotations, level):
            raise errors.InvalidArgument(
                f"--annotation {level}: no index is made of one platform without attestations"
            )


def _image(store: ContentStore, one: Built, output: Output, based_on: Collection[str]) -> Written:
    layers, diff_ids = [], []
    for layer in one.state.layers:
        described, diff_id = layer.descriptor, layer.diff_id
        if output.compression and (output.force or diff_id not in based_on):
            described, diff_id = convert.layer(
                store, described, diff_id, output.compression, level=output.level
            )
        layers.append(described if output.oci else convert.docker_layer(described))
        diff_ids.append(diff_id)
    document = {**one.state.document, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = oci_image.encode(document)
    content.add(store, config)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": oci_image.MANIFEST if output.oci else oci_image.DOCKER_MANIFEST,
        "config": oci_image.descriptor(
            oci_image.CONFIG if output.oci else oci_image.DOCKER_CONFIG, config
        ),
        "layers": layers,
    }
    if notes := output_options.of_level(output.annotations, "manifest", str(one.platform)):
        manifest["annotations"] = dict(sorted(notes.items()))
    data = oci_image.encode(manifest)
    content.add(store, data)
    described = oci_image.descriptor(manifest["mediaType"], data)
    return Written(platform=one.platform, manifest=described, image_id=oci_image.digest_of(config))


def _entry(one: Written, output: Output) -> dict[str, Any]:
    entry = {**one.manifest, "platform": platform_of(one.platform)}
    notes = output_options.of_level(output.annotations, "manifest-descriptor", str(one.platform))
    return entry | ({"annotations": dict(sorted(notes.items()))} if notes else {})


def platform_of(platform: Platform) -> dict[str, str]:
    found = {"architecture": platform.architecture, "os": platform.os}
    return found | ({"variant": platform.variant} if platform.variant else {})


def _index(store: ContentStore, entries: list[dict[str, Any]], output: Output) -> dict[str, Any]:
    kind = oci_image.INDEX if output.oci else oci_image.DOCKER_LIST
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    if notes := output_options.of_level(output.annotations, "index"):
        index["annotations"] = dict(sorted(notes.items()))
    data = oci_image.encode(index)
    content.add(store, data)
    return oci_image.descriptor(kind, data)


def _statement(predicate: Predicate, one: Written, output: Output) -> bytes:
    digest = one.manifest["digest"]
    names = [purl(name, one.platform) for name in output.names] or ["_"]
    subjects = [attestation.subject(name, digest) for name in names]
    return attestation.statement(predicate, subjects)


def purl(name: str, platform: Platform | None) -> str:
    """A package URL (package-url/purl-spec, type docker): pkg:docker/NAME@TAG?platform=…"""
    known = reference.parse(name)
    path = quote(reference.familiar(known.repository), safe="/")
    qualifiers = []
    if known.digest:
        qualifiers.append(f"digest={known.digest}")
    if platform is not None:
        qualifiers.append(f"platform={quote(str(platform), safe='')}")
    tail = f"?{'&'.join(qualifiers)}" if qualifiers else ""
    return f"pkg:docker/{path}" + (f"@{known.tag}" if known.tag else "") + tail
