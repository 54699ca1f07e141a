"""One build's use of caches: the engine's own records, and what comes from elsewhere.

`Imported` is a cache of another place once its documents are here: layers come when a step's key
finds them. `Caching` is what the solver asks; it remembers which steps and cache mounts the build
has, for `cache_exports`. Called from the threads of several stages; `wait` runs a coroutine on the
engine's loop.
"""

from __future__ import annotations

import os
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from sampan.build import cache, cache_manifest, explain
from sampan.engine.builds import scratch
from sampan.image import compress, content, unpack
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractContextManager

    from sampan.build.state import Layer
    from sampan.engine.builds.cache_places import Place
    from sampan.image.content import ContentStore

    Wait = Callable[[Coroutine[Any, Any, None]], None]


class Imported:
    def __init__(self, place: Place, entries: cache_manifest.Entries) -> None:
        self.place, self.entries = place, entries


async def opened(place: Place, store: ContentStore) -> Imported:
    """Raises NotFound where no cache is there, NotACache, and what the place raises."""
    manifest = oci_image.decode(await place.manifest(), f"the cache {place.name}")
    described, layers = cache_manifest.descriptors(manifest)
    if described is not None:
        config = await _document(place, described, store)
        return Imported(place, cache_manifest.read(layers, config))
    if oci_image.media_type(manifest) not in oci_image.INDEXES:
        return Imported(place, await _inline(place, manifest, store))
    steps: dict[str, Layer | None] = {}
    for entry in layers:
        if not oci_image.attests(entry) and entry.get("mediaType") in oci_image.MANIFESTS:
            one = oci_image.decode(await place.manifest(entry["digest"]), entry["digest"])
            steps |= (await _inline(place, one, store)).steps
    return Imported(place, cache_manifest.Entries(steps=steps))


async def _inline(
    place: Place, manifest: dict[str, Any], store: ContentStore
) -> cache_manifest.Entries:
    config = manifest.get("config") or {}
    if config.get("mediaType") not in oci_image.CONFIGS:
        return cache_manifest.Entries()
    return cache_manifest.read_inline(await _document(place, config, store), manifest)


async def _document(
    place: Place, described: Mapping[str, Any], store: ContentStore
) -> dict[str, Any]:
    if int(described.get("size") or 0) > oci_image.LARGEST_DOCUMENT:
        raise cache_manifest.NotACache(f"its config has {described['size']} bytes")
    await place.fetch(dict(described), store)
    data = await in_thread(content.read, store, str(described["digest"]))
    return oci_image.decode(data, f"the config of the cache {place.name}")


class Caching:
    def __init__(self, root: str, store: ContentStore, scratch: str, wait: Wait) -> None:
        self._records = cache.Records(root)
        self._store, self._scratch, self._wait = store, scratch, wait
        self._lock = threading.Lock()
        self._made: dict[str, Layer] = {}  # by this build
        self._makers: dict[str, threading.Lock] = {}  # by key
        self.imported: list[Imported] = []
        self.steps: dict[str, Layer | None] = {}
        self.mounts: set[str] = set()  # keys of caches
        self.used: set[tuple[str, str]] = set()  # ("secret", id), ("ssh", id), ("network", "")

    def kept(self) -> AbstractContextManager[None]:
        """While the steps are made: the records stay open."""
        return self._records.kept()

    def alone(self, parts: explain.Parts) -> threading.Lock:
        """To be held from the question whether a step's result is there until it is."""
        with self._lock:
            return self._makers.setdefault(parts.key, threading.Lock())

    def recall(self, parts: explain.Parts, *, fresh: bool = False) -> Layer | None:
        """`fresh`: only what this very build has made, for another stage or platform."""
        self._note(parts)
        key = parts.key
        found = self._made.get(key) if fresh else self._known(key) or self._elsewhere(parts)
        if found is not None:
            self.steps[key] = found
        return found

    def _known(self, key: str) -> Layer | None:
        found = self._records.get(key)
        if found is None or found.descriptor["digest"] not in self._store:
            return None
        return found

    def _elsewhere(self, parts: explain.Parts) -> Layer | None:
        key = parts.key
        for one in self.imported:
            layer = one.entries.steps.get(key)
            if layer is None or not self._fetched(one, layer):
                continue
            self._records.put(key, layer, f"from {one.place.name}")
            return layer
        return None

    def _fetched(self, source: Imported, layer: Layer) -> bool:
        """A cache that has lost the layer, or cannot be reached, is no reason to fail."""
        try:
            self._wait(source.place.fetch(layer.descriptor, self._store))
        except (errors.NotFound, errors.InvalidArgument, OSError):
            return False
        return True

    def seen(self, key: str) -> bool:
        """Whether a step that makes no layer was done before."""
        self.steps.setdefault(key, None)
        known = self._records.see(key)
        return known or any(key in one.entries.steps for one in self.imported)

    def remember(self, parts: explain.Parts, layer: Layer, what: str, ident: str) -> None:
        self._made[parts.key] = self.steps[parts.key] = layer
        self._records.put(parts.key, layer, what)
        self._records.put_trace(ident, explain.packed(parts))

    def trace(self, ident: str) -> bytes | None:
        return self._records.trace(ident)

    # -- cache mounts

    def _note(self, parts: explain.Parts) -> None:
        for kind, _, ident, *_ in parts.parts.get("mounts") or ():
            if kind == "cache":
                self.mounts.add(ident)
            elif kind in ("secret", "ssh"):
                self.used.add((kind, ident))
        if parts.kind == "run" and parts.parts.get("network") != "none":
            self.used.add(("network", ""))

    def fill(self, key: str, directory: str) -> bool:
        """Make the directory with what a cache from elsewhere has of that mount."""
        with self._lock:  # two steps may want it at once
            if os.path.exists(directory):
                return False
            for one in self.imported:
                layer = one.entries.mounts.get(key)
                if layer is not None and self._fetched(one, layer):
                    self._unpack(layer, directory)
                    return True
        return False

    def _unpack(self, layer: Layer, directory: str) -> None:
        place = tempfile.mkdtemp(dir=self._scratch)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._store.open(layer.descriptor["digest"]) as file:
                plain = compress.decompress(compress.chunks(file))
                unpack.unpack(plain, fd, expected=layer.diff_id, whiteouts=False)
            os.rename(place, directory)
        except BaseException:
            scratch.remove(place)
            raise
        finally:
            os.close(fd)
