"""What a build reads from its client: the Dockerfile, `.dockerignore` and the context.

The context is fetched when a step first looks into it; a build that copies nothing from it never
does.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from sampan.build import files, ignore
from sampan.build.context import Context
from sampan.buildkit import copies, filesync, messages
from sampan.buildkit.frontend import UPLOAD
from sampan.buildkit.grpc import translated
from sampan.engine.images import archives
from sampan.image import compress
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import BinaryIO

    from sampan.build.files import Files
    from sampan.buildkit.frontend import Asked
    from sampan.buildkit.progress import Progress
    from sampan.buildkit.sessions import Session
    from sampan.image import tar

_PULL = "/moby.upload.v1.Upload/Pull"
_CONTEXT = "[internal] load build context"


class Inputs:
    def __init__(self, root: str, session: Session, asked: Asked, progress: Progress) -> None:
        self._root, self._session, self._asked = root, session, asked
        self._progress = progress
        self._packs: list[BinaryIO] = []
        self._ignored: list[str] = []

    def close(self) -> None:
        for pack in self._packs:
            pack.close()

    async def dockerfile(self) -> str:
        """Its text; the `.dockerignore` that goes with it is known from here on."""
        name = self._asked.filename
        beside = f"{name}.dockerignore"
        with self._progress.vertex(f"[internal] load build definition from {name}") as vertex:
            tree = await self._small(
                filesync.Wanted(name=self._asked.dockerfile, include=(name, beside)),
                lambda size: vertex.status("transferring dockerfile:", current=size),
            )
            text = _text(tree, name)
            if text is None:
                raise errors.InvalidArgument(
                    f"failed to read dockerfile: open {name}: no such file or directory"
                )
        with self._progress.vertex("[internal] load .dockerignore") as vertex:
            found = _text(tree, beside)
            if found is None:
                found = await self._dockerignore(
                    lambda size: vertex.status("transferring context:", current=size)
                )
            self._ignored = ignore.read(found or "")
            ignore.Matcher(self._ignored)  # a bad pattern is refused here, not by the client
        return text

    async def _dockerignore(self, told: Callable[[int], object]) -> str | None:
        name = ".dockerignore"
        wanted = filesync.Wanted(name=self._asked.context, include=(name,))
        return _text(await self._small(wanted, told), name)

    async def _small(self, wanted: filesync.Wanted, told: Callable[[int], object]) -> filesync.Tree:
        copy = await in_thread(copies.passing, self._root)
        self._packs.append(copy.pack)
        return await filesync.fetch(self._session, wanted, copy, told)

    async def context(self) -> Context:
        with self._progress.vertex(_CONTEXT) as vertex:
            return await self._tree(
                lambda size: vertex.status("transferring context:", current=size)
            )

    async def _tree(self, told: Callable[[int], object]) -> filesync.Tree:
        wanted = filesync.Wanted(name=self._asked.context, exclude=self._ignored)
        if not self._session.shared_key:
            return await self._small(wanted, told)
        key = hashlib.sha256(f"{self._session.shared_key}\0{wanted.name}".encode()).hexdigest()
        async with _locks.setdefault(key, asyncio.Lock()):
            copy = await in_thread(copies.kept, self._root, key)
            self._packs.append(copy.pack)
            return await filesync.fetch(self._session, wanted, copy, told)

    async def upload(self) -> Context:
        """A context that the client has as a tar stream."""
        path = self._asked.context.removeprefix(UPLOAD.rstrip("/"))
        with self._progress.vertex("[internal] load remote build context"):
            copy = await in_thread(copies.passing, self._root)
            self._packs.append(copy.pack)
            async with archives.piped(_pulled(self._session, path)) as stream:
                return await in_thread(lambda: Context(copy.pack, compress.decompress(stream)))


_locks: dict[str, asyncio.Lock] = {}  # of copies that are being brought up to date


async def _pulled(session: Session, path: str) -> AsyncIterator[bytes]:
    with translated():
        async with session.channel.open(
            _PULL, messages.DATA, messages.DATA, [("urlpath", path)]
        ) as stream:
            await stream.send_request()
            while (message := await stream.recv_message()) is not None:
                yield message["data"]
            await stream.end()


def _text(tree: Context, name: str) -> str | None:
    try:
        return files.text(tree, name)
    except files.PathNotFound:
        return None


class Later:
    """Files that are fetched when they are first looked at, from the build's thread."""

    def __init__(self, fetch: Callable[[], Files]) -> None:
        self._fetch = fetch
        self._found: Files | None = None

    def _files(self) -> Files:
        if self._found is None:
            self._found = self._fetch()
        return self._found

    def entry(self, path: str) -> tar.Entry | None:
        return self._files().entry(path)

    def children(self, path: str) -> list[str]:
        return self._files().children(path)

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        self._files().copy(path, write)

    def digest(self, path: str) -> bytes:
        return self._files().digest(path)
