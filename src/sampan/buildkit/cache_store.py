"""containerd.services.content.v1.Content: a client's directory of blobs, for `type=local` caches.

The client keeps its index.json itself: it gives the digest of what it wants read, and is told that
of what was written. Source: containerd api/services/content/v1, moby/buildkit session/content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.buildkit import grpc, messages
from sampan.image import platforms
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import oci_image

if TYPE_CHECKING:
    from grpclib.client import Stream

    from sampan.buildkit.sessions import Session
    from sampan.image.content import ContentStore

    Message = dict[str, Any]

_AT = "/containerd.services.content.v1.Content/"
_STORE = "buildkit-attachable-store-id"
LOCAL = "local:"  # before the path of a cache
_LAYOUT = "oci:"  # before the name of a layout
_WRITE, _COMMIT = 1, 2
_PIECE = 1 << 20  # bytes; Go's gRPC takes messages of up to 4 MiB


class Directory:
    """A `engine.builds.cache_places.Place`."""

    def __init__(self, session: Session, name: str, digest: str = "") -> None:
        """`name` is the session's for the directory; `digest` of the cache that is meant."""
        self.name = name.removeprefix(LOCAL)
        self._channel = session.channel
        self._metadata = [(_STORE, name)]
        self._digest = digest

    async def manifest(self, digest: str = "") -> bytes:
        wanted = digest or self._digest
        if not wanted:
            raise errors.NotFound(f"{self.name}: the client named no cache of it")
        parts: list[bytes] = []
        await self._read(wanted, parts.append)
        return b"".join(parts)

    async def _read(self, digest: str, write: Any) -> None:
        with grpc.translated():
            async with self._channel.open(
                f"{_AT}Read", messages.CONTENT_READ, messages.CONTENT_PIECE, self._metadata
            ) as stream:
                await stream.send_message({"digest": digest}, end=True)
                async for message in stream:
                    await in_thread(write, message["data"])

    async def fetch(self, descriptor: dict[str, Any], store: ContentStore) -> None:
        digest = descriptor["digest"]
        if digest in store:
            return
        with store.write() as ingest:
            await self._read(digest, ingest.write)
            await in_thread(ingest.commit, digest)

    async def deliver(
        self, store: ContentStore, manifest: str, blobs: list[dict[str, Any]]
    ) -> None:
        for digest in (*(one["digest"] for one in blobs), manifest):
            if not await self._has(digest):
                await self._send(store, digest)

    async def _has(self, digest: str) -> bool:
        try:
            await self._channel.ask(
                f"{_AT}Info", messages.CONTENT_WANTED, messages.EMPTY, {"digest": digest},
                self._metadata,
            )  # fmt: skip
        except grpc.Refused:
            return False
        return True

    async def _send(self, store: ContentStore, digest: str) -> None:
        with grpc.translated(), store.open(digest) as file:
            async with self._channel.open(
                f"{_AT}Write", messages.CONTENT_WRITE, messages.CONTENT_WRITTEN, self._metadata
            ) as stream:
                about = {"ref": digest, "total": store.size(digest), "expected": digest}
                offset = 0
                while piece := await in_thread(file.read, _PIECE):
                    part = {**about, "action": _WRITE, "offset": offset, "data": piece}
                    await _said(stream, part)
                    offset += len(piece)
                commit = {**about, "action": _COMMIT, "offset": offset}
                await _said(stream, commit, last=True)


async def image(session: Session, store: ContentStore, place: str, platform: str) -> str:
    """Fetch one platform's image out of a layout, `NAME@DIGEST`; its manifest's digest."""
    name, at, digest = place.partition("@")
    if not at:
        raise errors.InvalidArgument(f"oci-layout://{place}: a digest is wanted")
    directory = Directory(session, f"{_LAYOUT}{name}")
    wanted = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
    while True:
        await directory.fetch({"digest": digest}, store)
        document = await in_thread(platforms.decode, store, digest)
        if oci_image.media_type(document) not in oci_image.INDEXES:
            break
        digest = str(oci_image.choose(document, wanted)["digest"])
    for descriptor in (document["config"], *document["layers"]):
        await directory.fetch(descriptor, store)
    return digest


async def _said(stream: Stream[Message, Message], part: Message, last: bool = False) -> None:
    """Each piece is answered; where there is no answer, the end says why."""
    await stream.send_message(part, end=last)
    if await stream.recv_message() is None:
        await stream.recv_trailing_metadata()
