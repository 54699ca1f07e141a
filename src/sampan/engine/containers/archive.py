"""`cp` and `export`: a child of the spawner looks at the files from inside the container.

stat = await archive.stat(container, "/etc/hosts")      Docker's {name, size, mode, …}
async with archive.get(container, path) as download:    download.stat, download.chunks()
await archive.put(container, path, chunks)
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from sampan.engine import containerfiles, rootfs
from sampan.engine.containers import start
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.shim import protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from sampan.engine.containers.container import Container
    from sampan.engine.monitors import Connection

_CHUNK = 1 << 20


def _request(container: Container, action: str, path: str, **more: Any) -> protocol.Archive:
    if container.running:
        return protocol.Archive(action=action, path=path, pid=container.pid, **more)
    run = container.engine.paths.container_run(container.id)
    os.makedirs(f"{run}/rootfs", mode=0o700, exist_ok=True)
    return protocol.Archive(
        action=action,
        path=path,
        rootfs=(*rootfs.mounts(container.engine, container.id), *_volumes(container, action)),
        root_path=f"{run}/rootfs",
        directory=container.config.get("WorkingDir") or "",
        readonly=bool(container.host_config.get("ReadonlyRootfs")),
        **more,
    )


def _volumes(container: Container, action: str) -> list[dict[str, Any]]:
    """What is mounted over the rootfs when it runs; `export` is of the rootfs alone."""
    if action == "export":
        return []
    points = [p for p in container.mounts if p["Type"] in ("bind", "volume")]
    places = [(p["Source"], p["Destination"], [] if p["RW"] else ["ro"]) for p in points]
    if not container.network_mode().startswith("container:"):  # whose they are then
        places += [(source, where, []) for source, where in containerfiles.places(container)]
    places.sort(key=lambda place: place[1].count("/"))
    return [
        {"type": "bind", "source": source, "destination": where, "options": options}
        for source, where, options in places
        if os.path.exists(source)
    ]


def _wide_pipe() -> tuple[int, int]:
    """A thread's hop for each megabyte instead of each 64 kB, where the user's quota allows it."""
    read, write = os.pipe()
    try:
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _CHUNK)
    except PermissionError:
        pass
    return read, write


async def stat(container: Container, path: str) -> dict[str, Any]:
    """What Docker's header says of a path. PathNotFound where there is none."""
    async with container.engine.volumes.held_for(container):
        connection = await container.engine.spawner.connect()
        try:
            await connection.send(_request(container, "stat", path).message())
            answer = await _answer(connection, container, path)
        finally:
            connection.detach()
    found: dict[str, Any] = answer["stat"]
    return found


async def _answer(connection: Connection, container: Container, path: str) -> dict[str, Any]:
    answer, fds = await connection.receive()
    for fd in fds:
        os.close(fd)
    failure = protocol.failure(answer)
    if isinstance(failure, errors.NotFound):
        raise errors.NotFound(
            f"Could not find the file {path} in container {container.name}"
        ) from failure
    if failure:
        raise failure
    assert answer is not None
    return answer


class Download:
    """A tar stream out of a container; use it as an asynchronous context."""

    def __init__(self, container: Container, action: str, path: str = "/") -> None:
        self._container, self._action, self._path = container, action, path
        self.stat: dict[str, Any] = {}
        self._read = -1
        self._connection: Connection | None = None
        self._volumes = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._volumes.enter_async_context(
            self._container.engine.volumes.held_for(self._container)
        )
        self._read, write = _wide_pipe()
        try:
            self._connection = await self._container.engine.spawner.connect()
            request = _request(self._container, self._action, self._path)
            await self._connection.send(request.message(), [write])
        except BaseException:
            await self.__aexit__()
            raise
        finally:
            os.close(write)
        if self._action == "get":
            try:
                answer = await _answer(self._connection, self._container, self._path)
                self.stat = answer["stat"]
            except BaseException:
                await self.__aexit__()
                raise
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream to its end; a failure on the way is raised then."""
        assert self._connection is not None
        while data := await in_thread(os.read, self._read, _CHUNK):
            yield data
        await _answer(self._connection, self._container, self._path)

    async def __aexit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.detach()
        os.close(self._read)
        await self._volumes.aclose()


async def put(
    container: Container,
    path: str,
    chunks: AsyncIterator[bytes],
    *,
    no_overwrite_dir_non_dir: bool = False,
    to_user: bool = False,
) -> None:
    """Extract a tar stream into a directory of the container.

    `to_user`: everything belongs to the container's user, if it has one (Docker's copyUIDGID).
    """
    async with container.engine.volumes.held_for(container):
        await _put(container, path, chunks, no_overwrite_dir_non_dir, to_user)


async def _put(
    container: Container,
    path: str,
    chunks: AsyncIterator[bytes],
    no_overwrite_dir_non_dir: bool,
    to_user: bool,
) -> None:
    owner = None
    if to_user and container.config.get("User"):
        user = start.identity(container)
        owner = (user.uid, user.gid)
    read, write = _wide_pipe()
    connection = None
    try:
        connection = await container.engine.spawner.connect()
        request = _request(
            container, "put", path, no_overwrite_dir_non_dir=no_overwrite_dir_non_dir, owner=owner
        )
        try:
            await connection.send(request.message(), [read])
        finally:
            os.close(read)
        answer = asyncio.ensure_future(_answer(connection, container, path))
        try:
            await _pump(chunks, write)
        finally:
            os.close(write)
            write = -1
        await answer
    finally:
        if write >= 0:
            os.close(write)
        if connection is not None:
            connection.detach()


async def _pump(chunks: AsyncIterator[bytes], fd: int) -> None:
    async for chunk in chunks:
        try:
            await in_thread(_write_all, fd, chunk)
        except BrokenPipeError:
            return  # the helper refused; its answer says why


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
