"""Where caches lie outside the engine: a directory of this machine, a repository of a registry.

A `Place` is one of them; a BuildKit client's directory is a third (`buildkit.cache_store`). What
comes from a place is checked against its digest before anybody sees it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sampan.build.cache_options import Export, Import
from sampan.engine.images import registries
from sampan.image import content
from sampan.kit import atomic, errors
from sampan.kit.threads import in_thread
from sampan.registry import pull, push
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from typing import Protocol

    from sampan.engine.engine import Engine
    from sampan.image.content import ContentStore
    from sampan.registry.auth import Credentials

    class Place(Protocol):
        name: str  # as the user knows it

        async def manifest(self, digest: str = "") -> bytes:
            """The cache's own, or one that it names. Raises NotFound."""

        async def fetch(self, descriptor: dict[str, Any], store: ContentStore) -> None:
            """A blob into the store, if it is not there yet."""

        async def deliver(
            self, store: ContentStore, manifest: str, blobs: list[dict[str, Any]]
        ) -> None:
            """The blobs, then the manifest (its digest) that names them; all are in the store."""


_CHUNK = 1 << 20
_HEX = re.compile(r"sha256:[0-9a-f]{64}")


class Directory:
    """An OCI layout whose index.json names each cache by a tag, as BuildKit's clients write it."""

    def __init__(
        self, path: str, *, tag: str = "latest", digest: str = "", reset: bool = False
    ) -> None:
        self.name, self._path, self._tag, self._digest = path, path, tag, digest
        self._reset = reset

    async def manifest(self, digest: str = "") -> bytes:
        return await in_thread(self._manifest, digest)

    def _manifest(self, digest: str) -> bytes:
        digest = digest or self._digest or self._tagged()
        try:
            with open(self._blob(digest), "rb") as file:
                data = file.read(oci_image.LARGEST_DOCUMENT + 1)
        except OSError as error:
            raise errors.NotFound(f"{self._path} has no blob {digest}") from error
        if oci_image.digest_of(data) != digest:
            raise errors.InvalidArgument(f"{self._path}: the blob {digest} is damaged")
        return data

    def _tagged(self) -> str:
        for entry in self._listed():
            if (entry.get("annotations") or {}).get(oci_image.REF_NAME) == self._tag:
                return str(entry.get("digest"))
        raise errors.NotFound(f"{self._path} has no cache named {self._tag}")

    def _listed(self) -> list[dict[str, Any]]:
        try:
            with open(f"{self._path}/index.json", "rb") as file:
                return oci_image.entries(oci_image.decode(file.read(), "index.json"))
        except FileNotFoundError:
            return []

    def _blob(self, digest: str) -> str:
        if not _HEX.fullmatch(digest):
            raise errors.InvalidArgument(f"{self._path}: {digest!r} is no sha256 digest")
        return f"{self._path}/blobs/sha256/{digest.partition(':')[2]}"

    async def fetch(self, descriptor: dict[str, Any], store: ContentStore) -> None:
        await in_thread(self._fetch, descriptor["digest"], store)

    def _fetch(self, digest: str, store: ContentStore) -> None:
        if digest in store:
            return
        try:
            file = open(self._blob(digest), "rb")  # noqa: SIM115
        except OSError as error:
            raise errors.NotFound(f"{self._path} has no blob {digest}") from error
        with file, store.write() as ingest:
            while chunk := file.read(_CHUNK):
                ingest.write(chunk)
            ingest.commit(digest)

    async def deliver(
        self, store: ContentStore, manifest: str, blobs: list[dict[str, Any]]
    ) -> None:
        await in_thread(self._deliver, store, manifest, [one["digest"] for one in blobs])

    def _deliver(self, store: ContentStore, manifest: str, blobs: list[str]) -> None:
        os.makedirs(f"{self._path}/blobs/sha256", exist_ok=True)
        for digest in (*blobs, manifest):
            if not os.path.exists(self._blob(digest)):
                self._copy(store, digest)
        kind = oci_image.media_type(oci_image.decode(content.read(store, manifest)))
        entry = {"mediaType": kind, "digest": manifest, "size": store.size(manifest),
                 "annotations": {oci_image.REF_NAME: self._tag}}  # fmt: skip
        listed = [] if self._reset else [one for one in self._listed() if not self._mine(one)]
        top = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": [*listed, entry]}
        atomic.write(f"{self._path}/oci-layout", b'{"imageLayoutVersion":"1.0.0"}', sync=False)
        atomic.write(f"{self._path}/index.json", oci_image.encode(top), sync=False)
        if self._reset:
            self._keep({*blobs, manifest})

    def _mine(self, entry: dict[str, Any]) -> bool:
        return (entry.get("annotations") or {}).get(oci_image.REF_NAME) == self._tag

    def _copy(self, store: ContentStore, digest: str) -> None:
        path = self._blob(digest)
        try:
            with store.open(digest) as source, open(f"{path}.part", "wb") as file:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
            os.replace(f"{path}.part", path)
        except OSError:
            with suppress(OSError):
                os.unlink(f"{path}.part")
            raise

    def _keep(self, digests: set[str]) -> None:
        """Else what no cache names any more would stay for ever."""
        names = {digest.partition(":")[2] for digest in digests}
        for name in os.listdir(f"{self._path}/blobs/sha256"):
            if name not in names:
                os.unlink(f"{self._path}/blobs/sha256/{name}")


def directory(wanted: Import | Export) -> Directory:
    digest = wanted.digest if isinstance(wanted, Import) else ""
    reset = isinstance(wanted, Export) and wanted.reset
    return Directory(wanted.place, tag=wanted.tag, digest=digest, reset=reset)


class Repository:
    """A tag of a registry."""

    def __init__(self, engine: Engine, name: str, known: Credentials | None) -> None:
        self.name, self._engine, self._known = name, engine, known
        self._wanted = reference.parse(name)

    async def manifest(self, digest: str = "") -> bytes:
        async with registries.client(self._engine, self._wanted, self._known) as client:
            return (await client.resolve(digest)).data

    async def fetch(self, descriptor: dict[str, Any], store: ContentStore) -> None:
        async with registries.client(self._engine, self._wanted, self._known) as client:
            await pull.blob(client, store, descriptor)

    async def deliver(
        self, store: ContentStore, manifest: str, blobs: list[dict[str, Any]]
    ) -> None:
        async with registries.client(self._engine, self._wanted, self._known) as client:
            await push.push(client, store, manifest, self._wanted.identifier)
