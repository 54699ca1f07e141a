"""Names between containers: who is called what on which network, told to the resolver.

A container on a user-defined network asks 127.0.0.11, where one process of the installation
answers (`shim.resolver`). It knows the other containers of its user-defined networks by name, short
id, hostname and aliases, each also as NAME.NETWORK; `--link` adds names for one container alone.
The default bridge has no names, as Docker has it. The rest goes to `--dns`, or to the host's
servers, asked from the host.

    await servers.open(container, netns, pid)   before "go", and on joining a network
    await servers.close(container)
    servers.changed(network_id, container_id)   somebody joined, left or was renamed

The resolver outlives the engine; the next one connects to it and says everything once more. One
that died, or is of older code, is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from sampan.engine import monitors, name_sockets, name_views
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.network import dns_zone
from sampan.shim import protocol, spawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.monitors import Message

log = logging.getLogger("sampan.names")


class NameServers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._path = engine.paths.resolver_socket
        self._link: monitors.Connection | None = None
        self._answer: asyncio.Future[Message | None] | None = None
        self._busy = asyncio.Lock()
        self._served: set[str] = set()
        self._changed: set[tuple[str, str]] = set()  # network, container: to be told

    async def open(self, container: Container, netns: int, pid: int) -> None:
        """Serve names in its namespace (`lo` is up); where it is served, on these networks now."""
        sockets: list[int] = []
        try:
            async with self._busy:
                await self._connect()
                if container.id not in self._served:
                    sockets = name_sockets.made(netns, pid)
                opened = {container.id: sockets} if sockets else {}
                try:
                    await self._tell([container], opened)
                except errors.Unavailable:  # it was just ending, when nobody needed it
                    self._let_go()
                    await self._connect()
                    await self._tell([container], opened)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot serve names to container {container.name}: {error}"
            ) from error
        finally:
            name_sockets.close(sockets)

    async def take_over(self) -> None:
        """At engine start: everything that runs is served from now on, whoever did it before."""
        async with self._busy:
            if self._needed():
                await self._connect()

    async def close(self, container: Container) -> None:
        if container.id not in self._served:
            return
        async with self._busy:
            self._served.discard(container.id)
            if self._link is not None:
                try:
                    await self._exchange(protocol.update({container.id: None}, {}))
                except errors.Unavailable:
                    pass  # it was the last, or the resolver has died, which is heard of

    async def stop(self) -> None:
        """The engine lets go; the resolver serves on."""
        self._let_go()

    def wanted(self) -> list[Container]:
        """Those who run and may ask."""
        return [container for container in self._running() if name_views.named(container)]

    async def served(self) -> Sequence[str]:
        """The ids of those who are answered, as the resolver itself says."""
        if not self.wanted():
            return ()
        async with self._busy:
            answer = await self._exchange(protocol.hello())
        found: Sequence[str] = answer["containers"]
        return found

    async def retire(self) -> None:
        """Nothing runs any more: the resolver shall end, should it not have by itself."""
        try:
            await monitors.ask(self._path, protocol.retire())
        except errors.Unavailable:
            pass
        self._let_go()

    def changed(self, network_id: str, container_id: str) -> None:
        """A container joined or left this network, or has other names there."""
        self._changed.add((network_id, container_id))
        if self._link is not None and len(self._changed) == 1:
            self._engine.spawn(self._tell_changes(), "names")

    async def renamed(self, container: Container) -> None:
        for place in name_views.named(container):
            self._changed.add((place.network.id, container.id))
        await self._tell_changes()

    async def _tell_changes(self) -> None:
        async with self._busy:
            if self._link is None:
                self._changed.clear()
            elif self._changed:
                try:
                    await self._tell([], {})
                except errors.Unavailable:
                    pass  # the next resolver is told everything

    # ---- the line to the resolver; `_busy` is held

    async def _connect(self) -> None:
        """Have a resolver of this code that knows everything."""
        if self._link is not None:
            return
        self._served.clear()
        version = await in_thread(spawn.version)
        answer = await self._hello()
        if answer is not None and answer["version"] != version:
            await self._exchange(protocol.retire())
            self._let_go()
            answer = None
        if answer is None:
            await self._start()
            answer = await self._hello()
        if answer is None:
            raise errors.Unavailable(f"the resolver does not answer at {self._path}")
        await self._tell_all(answer["containers"])

    async def _hello(self) -> Message | None:
        """A new line, and what it is asked first; None where nobody listens."""
        try:
            self._link = await monitors.open(self._path)
            self._engine.spawn(self._listen(self._link), "resolver")
            return await self._exchange(protocol.hello())
        except errors.Unavailable:
            self._let_go()
            return None

    async def _start(self) -> None:
        spawner = await self._engine.spawner.connect()
        try:
            await spawner.send(protocol.resolver(self._path))
            answer, _ = await spawner.receive()
            if failure := protocol.failure(answer):
                raise failure
        finally:
            spawner.detach()

    async def _tell_all(self, served: Sequence[str]) -> None:
        """To one that has just been connected to: who is gone, who is there."""
        running = {container.id: container for container in self.wanted()}
        self._served = {identity for identity in served if identity in running}
        opened: dict[str, list[int]] = {}
        try:
            for identity in running.keys() - self._served:
                try:
                    opened[identity] = await in_thread(name_sockets.of, running[identity].pid)
                except OSError as error:
                    log.warning(
                        "cannot serve names to container %s: %s", running[identity].name, error
                    )
            known = [running[i] for i in running if i in self._served or i in opened]
            gone = [identity for identity in served if identity not in running]
            await self._tell(known, opened, gone)
        finally:
            for descriptors in opened.values():
                name_sockets.close(descriptors)

    async def _tell(
        self,
        containers: Sequence[Container],
        sockets: dict[str, list[int]],
        gone: Sequence[str] = (),
    ) -> None:
        """These containers' views and places, and what has changed since the last time."""
        views: dict[str, Message | None] = dict.fromkeys(gone)
        changed, self._changed = self._changed, set()
        for container in containers:
            views[container.id] = dns_zone.view_message(name_views.view(container))
            for place in name_views.named(container):
                changed.add((place.network.id, container.id))
                if place.network.shared and not self._asked_about(place.network.id, container.id):
                    changed.update(self._engine.shared.far(place.network.id))
        networks: dict[str, dict[str, Message | None]] = {}
        for network, identity in sorted(changed):
            networks.setdefault(network, {})[identity] = name_views.host(
                self._engine, network, identity
            )
        if not views and not networks:
            return
        order = list(sockets)
        descriptors = [fd for identity in order for fd in sockets[identity]]
        most = 3 * 80  # SCM_MAX_FD is 253
        while len(descriptors) > most:
            part, order = order[: most // 3], order[most // 3 :]
            await self._exchange(
                protocol.update({i: views[i] for i in part}, {}, part), descriptors[:most]
            )
            del descriptors[:most]
        await self._exchange(protocol.update(views, networks, order), descriptors)
        self._served.update(sockets)

    def _asked_about(self, network: str, besides: str) -> bool:
        """Whether the resolver knows this network: it forgets what nobody asks about."""
        rows = self._engine.db.rows(
            "select container_id from endpoints where network_id = ?", (network,)
        )
        return any(row[0] in self._served and row[0] != besides for row in rows)

    async def _exchange(self, message: Message, fds: Sequence[int] = ()) -> Message:
        if self._link is None:
            raise errors.Unavailable("the resolver has ended")
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await self._link.send(message, fds)
            answer = await self._answer
        finally:
            self._answer = None
        if answer is None:
            raise errors.Unavailable("the resolver has ended")
        if failure := protocol.failure(answer):
            raise failure
        return answer

    async def _listen(self, link: monitors.Connection) -> None:
        """Read what the resolver says until it ends; the next one is then made, if needed."""
        try:
            message: Message | None = {}
            while message is not None:
                message, _ = await link.receive()
                if self._link is not link:
                    break  # let go; what is asked meanwhile is asked of the next one
                if message is None:
                    self._link = None
                self._answered(message)
        finally:
            link.detach()
        if self._served and self._link is None and not self._engine.stopping:
            log.warning("the resolver has ended; another one takes its place")
            async with self._busy:
                await self._connect()

    def _let_go(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()  # which `_listen` sees
            self._answered(None)

    def _answered(self, message: Message | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    # ---- what the resolver is told

    def _needed(self) -> bool:
        """By somebody who runs; or by one who is gone, but still served."""
        return bool(self.wanted()) or os.path.exists(self._path)

    def _running(self) -> list[Container]:
        return [container for container in self._engine.containers if container.running]
