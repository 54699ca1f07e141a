"""`--cache-to`: a build's cache on its way to a directory, a registry, or into the image itself."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from sampan.build import cache_manifest
from sampan.build.state import Layer
from sampan.engine.builds import caches
from sampan.image import archive, content, convert, tar
from sampan.kit.threads import in_thread
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.build.cache_options import Export
    from sampan.build.state import State
    from sampan.engine.builds.cache_places import Place
    from sampan.engine.builds.caching import Caching
    from sampan.engine.builds.workshop import Workshop
    from sampan.image.content import ContentStore


async def export(
    workshop: Workshop, states: Iterable[State], wanted: Export, place: Place
) -> dict[str, object]:
    """The descriptor of the manifest that was delivered. Raises what the place raises."""
    store, root, caching = workshop.lease.store, workshop.engine.paths.root, workshop.caching
    entries = await in_thread(_entries, store, root, caching, [*states], wanted)
    config, manifest = cache_manifest.documents(
        entries, image_manifest=wanted.image_manifest, oci=wanted.oci
    )
    blobs = [layer.descriptor for layer, _ in entries.layers]
    blobs.append(oci_image.descriptor(cache_manifest.CONFIG, config))
    await in_thread(content.add, store, config)
    digest = await in_thread(content.add, store, manifest)
    await place.deliver(store, digest, blobs)
    return oci_image.descriptor(oci_image.media_type(oci_image.decode(manifest)), manifest)


def _entries(
    store: ContentStore, root: str, caching: Caching, states: list[State], wanted: Export
) -> cache_manifest.Entries:
    steps = chosen(caching.steps, states, every=wanted.every)
    if wanted.compression:
        steps = {key: _converted(store, layer, wanted) for key, layer in steps.items()}
    mounts = {}
    for ident in sorted(caching.mounts) if wanted.mounts else ():
        packed = _mount(store, root, ident, wanted)
        if packed is not None:
            mounts[ident] = packed
    return cache_manifest.Entries(steps=steps, mounts=mounts)


def chosen(
    steps: Mapping[str, Layer | None], states: Iterable[State], *, every: bool
) -> dict[str, Layer | None]:
    """Not `every`: without the layers that are in none of the results."""
    there = {layer.diff_id for state in states for layer in state.layers}
    return {
        key: layer
        for key, layer in steps.items()
        if every or layer is None or layer.diff_id in there
    }


def _converted(store: ContentStore, layer: Layer | None, wanted: Export) -> Layer | None:
    if layer is None:
        return None
    made, _ = convert.layer(
        store, layer.descriptor, layer.diff_id, wanted.compression, level=wanted.level
    )
    return layer.replace(descriptor=made)


def _mount(store: ContentStore, root: str, key: str, wanted: Export) -> Layer | None:
    """The contents of a cache mount, while nobody has it for themselves; None: it is not here."""
    directory = f"{caches.place(root)}/{caches.name_of(key)}-0"
    if not os.path.isdir(directory):
        return None
    fd = os.open(f"{directory}.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        with archive.new_layer(store, wanted.compression or "gzip", wanted.level) as layer:
            writer = tar.Writer(layer.write)
            tar.write_tree(writer, directory)
            writer.finish()
            descriptor, diff_id = layer.finish()
    finally:
        os.close(fd)
    kind = convert.layer_type(wanted.compression or "gzip")
    return Layer(descriptor={**descriptor, "mediaType": kind}, diff_id=diff_id)


def inline(caching: Caching, state: State) -> State:
    """With the cache of its own layers in its config."""
    steps = chosen(caching.steps, [state], every=False)
    text = cache_manifest.inline(steps, state.layers)
    return state.replace(config={**state.config, cache_manifest.INLINE: text})
