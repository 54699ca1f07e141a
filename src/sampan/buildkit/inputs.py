"""What a build reads from its client: the Dockerfile, `.dockerignore` and the context.

The context is fetched when a step first looks into it; a build that copies nothing from it never
does.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from typing import TYPE_CHECKING

from sampan.build import digests, files, ignore
from sampan.build.context import Context
from sampan.buildkit import copies, filesync, messages
from sampan.buildkit.frontend import UPLOAD
from sampan.buildkit.grpc import translated
from sampan.engine.builds import contexts
from sampan.engine.images import archives
from sampan.image import compress
from sampan.kit import errors
from sampan.kit.threads import in_own_thread, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable
    from typing import BinaryIO

    from sampan.build.files import Files
    from sampan.buildkit.frontend import Asked
    from sampan.buildkit.jobs import Job
    from sampan.buildkit.sessions import Session
    from sampan.image import tar

_PULL = "/moby.upload.v1.Upload/Pull"
_CONTEXT = "[internal] load build context"


class Inputs:
    def __init__(self, root: str, session: Session, asked: Asked, job: Job) -> None:
        self._root, self._session, self._asked = root, session, asked
        self._progress, self._given = job.progress, job.upload
        self._packs: list[BinaryIO] = []
        self._trees: list[filesync.Tree] = []  # that the next build may meet again
        self.ignored: ignore.Matcher | None = None

    def close(self) -> None:
        for pack in self._packs:
            pack.close()

    def save(self) -> None:
        """What was read of the client's files the next build need not read. Blocking."""
        for tree in self._trees:
            tree.save()
        digests.shrink(self._root)

    async def dockerfile(self) -> str:
        """Its text; the `.dockerignore` that goes with it is known from here on."""
        name = self._asked.filename
        lower = name.lower() if name == "Dockerfile" else name
        beside = f"{name}.dockerignore"
        with self._progress.vertex(f"[internal] load build definition from {name}") as vertex:
            tree = await self._small(
                filesync.Wanted(
                    name=self._asked.dockerfile, include=(*dict.fromkeys((name, lower)), beside)
                ),
                lambda size: vertex.status("transferring dockerfile:", current=size),
            )
            text = _text(tree, name) or _text(tree, lower)
            if text is None:
                raise errors.InvalidArgument(
                    f"failed to read dockerfile: open {name}: no such file or directory"
                )
        with self._progress.vertex("[internal] load .dockerignore") as vertex:
            found = _text(tree, beside)
            if found is not None:
                self.ignored = ignore.Matcher(ignore.read(found))
            elif not self._asked.remote:
                self.ignored = await self._dockerignore(
                    self._asked.context,
                    lambda size: vertex.status("transferring context:", current=size),
                )
        return text

    async def _dockerignore(
        self, directory: str, told: Callable[[int], object]
    ) -> ignore.Matcher | None:
        name = ".dockerignore"
        wanted = filesync.Wanted(name=directory, include=(name,))
        text = _text(await self._small(wanted, told), name)
        return ignore.Matcher(ignore.read(text)) if text is not None else None

    async def _small(self, wanted: filesync.Wanted, told: Callable[[int], object]) -> filesync.Tree:
        copy = await in_thread(copies.passing, self._root)
        self._packs.append(copy.pack)
        return await filesync.fetch(self._session, wanted, copy, told)

    async def context(self, name: str) -> Context:
        """A directory of the client, without what its `.dockerignore` names."""
        main = name == self._asked.context
        with self._progress.vertex(_CONTEXT if main else f"[context {name}]") as vertex:

            def told(size: int) -> None:
                vertex.status("transferring context:", current=size)

            matcher = self.ignored if main else await self._dockerignore(name, told)
            patterns = matcher.patterns if matcher else []
            return await self._tree(filesync.Wanted(name=name, exclude=patterns), told)

    async def _tree(self, wanted: filesync.Wanted, told: Callable[[int], object]) -> filesync.Tree:
        if not self._session.shared_key:
            return await self._small(wanted, told)
        key = hashlib.sha256(f"{self._session.shared_key}\0{wanted.name}".encode()).hexdigest()
        async with _locks.setdefault(key, asyncio.Lock()):
            copy = await in_thread(copies.kept, self._root, key)
            self._packs.append(copy.pack)
            tree = await filesync.fetch(self._session, wanted, copy, told)
            self._trees.append(tree)
            return tree

    async def remote(self, scratch: str) -> Files:
        """A context that is no directory of the client: its upload, git, or an address."""
        if self._asked.context.startswith(UPLOAD):
            return self._inside(await self._upload())
        with self._progress.vertex(f"[internal] load remote build context {self._asked.context}"):
            return self._inside(await in_thread(contexts.fetched, self._asked.context, scratch))

    def _inside(self, whole: Files) -> Files:
        return files.Subtree(whole, self._asked.inside) if self._asked.inside else whole

    async def _upload(self) -> Context:
        path = self._asked.context.removeprefix(UPLOAD.rstrip("/"))
        with self._progress.vertex("[internal] load remote build context"):
            copy = await in_thread(copies.passing, self._root)
            self._packs.append(copy.pack)
            chunks = self._given or _pulled(self._session, path)
            async with archives.piped(chunks) as stream:
                return await in_own_thread(lambda: Context(copy.pack, compress.decompress(stream)))


_locks: dict[str, asyncio.Lock] = {}  # of copies that are being brought up to date


async def _pulled(session: Session, path: str) -> AsyncIterator[bytes]:
    with translated():
        async with session.channel.open(
            _PULL, messages.DATA, messages.DATA, [("urlpath", path)]
        ) as stream:
            await stream.send_request(end=True)
            while (message := await stream.recv_message()) is not None:
                yield message["data"]


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
        self._lock = threading.Lock()

    def _files(self) -> Files:
        with self._lock:
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

    def shared(self, path: str) -> Hashable | None:
        return self._files().shared(path)
