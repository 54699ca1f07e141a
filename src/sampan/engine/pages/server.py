"""The page server's process: serves what it is told to, and ends when all of it is whole.

Requests are `linux.unix` messages on one socket, each answered by one message; a connection may
stay open, its end tells that the server has ended:

    {"op": "serve", "place": DIRECTORY, "root": …, "credentials": {…}|null, "registries": {…}}
        → {"device": "/dev/loopN"} or {"error": sentence}

With the answer comes a descriptor of the FUSE file. As long as its receiver keeps it, readers wait
for the next server when this one dies; with the next `serve` it goes there.

    {"op": "watch"} → {}
    {"op": "stop"} → {}, and the end
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from sampan.engine.pages.device import Device
from sampan.engine.pages.source import Source
from sampan.image.content import FileStore
from sampan.image.lazy import filling
from sampan.kit import atomic, errors
from sampan.kit.threads import in_thread
from sampan.linux import unix
from sampan.registry import credentials, hosts
from sampan.registry.auth import Credentials
from sampan.registry.client import Client
from sampan.spec import reference

if TYPE_CHECKING:
    import socket

log = logging.getLogger("sampan.pages")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds after a failure of the background, doubling


class Job:
    """One layer, until it is whole."""

    def __init__(self, place: str, store: FileStore) -> None:
        self.place, self._store = place, store
        promise = filling.promised(place)
        if promise is None:
            raise errors.NotFound(f"there is no lazy layer at {place}")
        self._promise = promise
        self.reference = promise.reference
        self._what = f"layer {promise.blob} of {promise.reference}"
        self._client: Client | None = None

    async def start(self, client: Client, inherited: int) -> str:
        """The device that shows the layer; see `Device.open`."""
        await self.use(client)
        self._filling = await in_thread(filling.Filling, self.place, self._promise)
        self._source = Source(self._filling, self._fetch)
        self._device = Device(self._filling.plan.size, self._source, self._what)
        try:
            old = _read(f"{self.place}/device")
            self.path = await self._device.open(_name(self.place), old, inherited)
        except BaseException:
            self._close()
            raise
        atomic.write(f"{self.place}/device", self.path.encode(), sync=False)
        return self.path

    @property
    def descriptor(self) -> int:
        return self._device.descriptor

    async def use(self, client: Client) -> None:
        """From now on bytes come that way."""
        await client.__aenter__()
        self._client, before = client, self._client
        if before is not None:
            await before.__aexit__()

    async def _fetch(self, start: int, length: int) -> bytes:
        assert self._client is not None
        if self._promise.blob in self._store:  # it was pulled whole meanwhile
            return await in_thread(self._stored, start, length)
        descriptor = {"digest": self._promise.blob, "size": self._promise.size}
        return await self._client.read_range(descriptor, start, length)

    def _stored(self, start: int, length: int) -> bytes:
        with self._store.open(self._promise.blob) as file:
            return os.pread(file.fileno(), length, start)

    async def run(self) -> None:
        """Until the layer is whole, or removed, or known to be broken."""
        pause = _FIRST_PAUSE
        try:
            while not await self._complete(pause):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._close()
            if self._client is not None:
                await self._client.__aexit__()

    async def _complete(self, pause: float) -> bool:
        """One try; False: another one may do it."""
        filled, what = self._filling, self._what
        try:
            if await self._source.complete():
                await in_thread(filled.verify)
                await in_thread(filled.finish, self._store)
                await self._hand_over()
                await in_thread(filled.settle)
                log.info("%s is whole", what)
            return True
        except filling.Broken as error:
            log.error("%s can never be whole: %s", what, error)
            await in_thread(filled.fail, str(error))
            await self._hand_over()
            return True
        except filling.WrongBytes as error:
            log.error("%s: %s", what, error)
            if 0 not in filled.has:  # each span was right, and all of them are not
                filled.forget()
        except (errors.SampanError, OSError) as error:
            log.warning("%s: the rest waits %.0f s: %s", what, pause, error)
        return False

    async def _hand_over(self) -> None:
        file = self._filling.file()
        try:
            await self._device.hand_over(file)
        finally:
            os.close(file)

    def _close(self) -> None:
        self._device.close()
        self._filling.close()


class Server:
    def __init__(self, listening: socket.socket, path: str) -> None:
        self._listening, self._path = listening, path
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._ended = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        accepting = loop.create_task(self._accept())
        await self._ended.wait()
        accepting.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self._listening)
            sock.setblocking(True)
            task = loop.create_task(self._talk(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _talk(self, sock: socket.socket) -> None:
        with sock:
            while True:
                await _readable(sock)
                try:
                    message, fds = unix.receive(sock)
                    if message is None:
                        return
                    answer, ours = await self._answer(message, fds)
                    unix.send(sock, answer, ours)
                except OSError:
                    return  # it went away
                if message["op"] == "stop":
                    self._end()

    async def _answer(
        self, message: dict[str, Any], fds: list[int]
    ) -> tuple[dict[str, Any], list[int]]:
        if message["op"] != "serve":
            return {}, []
        place = message["place"]
        try:
            async with self._locks.setdefault(place, asyncio.Lock()):
                job = await self._serve(place, message, fds)
                return {"device": job.path}, [job.descriptor]
        except (errors.SampanError, OSError) as error:
            return {"error": str(error)}, []

    async def _serve(self, place: str, message: dict[str, Any], fds: list[int]) -> Job:
        job = self._jobs.get(place)
        if job is not None:
            for fd in fds:
                os.close(fd)
            if message["credentials"]:
                await job.use(_client(job.reference, message))
            return job
        job = Job(place, FileStore(message["root"]))
        await job.start(_client(job.reference, message), fds[0] if fds else -1)
        self._jobs[place] = job
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def _run(self, job: Job) -> None:
        try:
            await job.run()
        finally:
            del self._jobs[job.place]
            if not self._jobs and not any(lock.locked() for lock in self._locks.values()):
                self._end()

    def _end(self) -> None:
        if not self._ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # who comes now starts another
            self._ended.set()


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


def _client(name: str, message: dict[str, Any]) -> Client:
    known = message["credentials"]
    return Client(
        reference.parse(name),
        credentials=Credentials(**known) if known else None,
        of_mirror=credentials.find,
        hosts=hosts.Config(**{k: tuple(v) for k, v in message["registries"].items()}),
    )


def _name(place: str) -> str:
    """What the loop device of a layer is named."""
    return f"sampan {hashlib.sha256(place.encode()).hexdigest()[:32]}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main(path: str) -> None:
    """Listen, say so by leaving the first process, and serve in a second one."""
    listening = unix.bind(path)
    if os.fork():
        os._exit(0)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)
    asyncio.run(Server(listening, path).run())
