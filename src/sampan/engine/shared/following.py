"""Following a network store: one session after another, as long as the engine lives.

A session takes up the leases, agrees with the store about what is ours, and then does three things
until one of them fails: it keeps the leases, hears what others write, and writes what changed here.
Then it waits a moment and begins again. Whatever is lost between two sessions is made good by the
next one's beginning, which compares everything.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from sampan.engine.shared import choice as choices
from sampan.engine.shared import endpoints, importing, returning, tunnels
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.network.shared import keys
from sampan.network.shared.store import Changes, Life, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.engine import Engine
    from sampan.engine.shared.choice import Choice
    from sampan.engine.shared.mirror import Mirror
    from sampan.network.shared.store import NetworkStore

log = logging.getLogger("sampan.networks")

_PAUSE = 1.0  # seconds between two sessions
_PATIENCE = 5.0  # seconds that a user waits for the store


class Following:
    def __init__(self, engine: Engine, mirror: Mirror, choice: Choice) -> None:
        self._engine, self._mirror, self._choice = engine, mirror, choice
        own = mirror.known.hosts().get(mirror.identity)
        self.address = own.address if own else ""
        self._store: NetworkStore | None = None
        self._task: asyncio.Task[None] | None = None
        self._online = asyncio.Event()
        self._why = "it has not been asked yet"
        self._changed: set[tuple[str, str]] = set()  # endpoints to be written; "": the network
        self._woken = asyncio.Event()
        self._owned: set[str] = set()  # networks that somebody here makes or removes
        self._refused: set[str] = set()  # networks of others that cannot be here; said once

    # ---- the life of it

    def start(self) -> None:
        if self._task is None:
            self._store = choices.open(self._choice, self._engine.paths.root)
            self._task = self._engine.spawn(self._follow(), "network store")

    async def stop(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def leave(self) -> None:
        """The others shall forget us at once; they will anyhow."""
        if self._task is None or self._store is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            await self._store.leave()
        except StoreUnavailable as e:
            log.warning("the network store did not hear that this host leaves: %s", e)
        self._mirror.apply(
            {
                key: None
                for key, text in self._mirror.content.items()
                if "/parts/" in key and text == self._mirror.identity
            }
        )

    async def online(self) -> NetworkStore:
        """The store, once it answers. Raises StoreUnavailable."""
        self.start()
        assert self._store is not None
        try:
            await asyncio.wait_for(self._online.wait(), _PATIENCE)
        except TimeoutError:
            raise StoreUnavailable(f"the network store cannot be asked: {self._why}") from None
        return self._store

    async def _follow(self) -> None:
        assert self._store is not None
        while True:
            try:
                await self._session(self._store)
            except errors.Unavailable as e:
                self._why = str(e)
                if self._online.is_set():
                    log.warning("%s; shared networks go on with what is known", e)
            except Exception:  # whatever others write must not keep this host from following
                self._why = "an error, which the log has"
                log.exception("following the network store failed; it begins again")
            self._online.clear()
            await asyncio.sleep(_PAUSE)

    async def _session(self, store: NetworkStore) -> None:
        self._refused.clear()
        await self._locate()
        await store.join()
        await self._agree(store)
        revision, found = await store.read()
        await self._heard(self._mirror.replace(found), everything=True)
        self._online.set()
        self._engine.spawn(returning.readdress(self._engine, self._mirror), "addresses")
        log.info("following the network store as %s (%s)", self._mirror.identity, self.address)
        work = (self._keep(store), self._hear(store, revision), self._write(store))
        tasks = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception):
                raise one

    async def _locate(self) -> None:
        """Our address may be another one since; tunnels stand on it."""
        address = await in_thread(choices.own_address, self._choice) or self.address
        if address != self.address:
            self.address = address
            await importing.renew(self._engine)

    def trouble(self) -> str | None:
        """Why the store is not followed; "" where it is, None where there is nothing to follow."""
        if self._task is None:
            return None
        return "" if self._online.is_set() else self._why

    # ---- what is ours

    async def _agree(self, store: NetworkStore) -> None:
        """Our parts are ours again where nobody took them; our keys are what we have, no more."""
        _, found = await store.read()
        me = self._mirror.identity
        defined = keys.Known(found).definitions()
        self._mirror.apply({k: t for k, t in found.items() if "/parts/" in k and t == me})
        for network in list(self._mirror.known.definitions()):
            for part in self._mirror.own_parts(network):
                key = keys.part(network, part)
                if network in defined and not await store.claim({key: me}, Life.ADDRESSES):
                    self._mirror.apply({key: found.get(key, "")})
                    log.warning("another host has taken %s of network %s meanwhile", part, network)
        own = keys.Host(name=socket.gethostname(), address=self.address)
        wanted = {keys.host(me): keys.text(own)}
        wanted |= endpoints.all_of(self._engine, self._mirror, defined)
        await store.put(wanted, Life.PRESENCE)
        theirs = keys.Known(found)
        stale = [
            key
            for network in defined
            for container, one in theirs.endpoints(network).items()
            if one.host == me and (key := keys.endpoint(network, container)) not in wanted
        ]
        await store.delete(stale)

    def changed(self, network: str, container: str) -> None:
        if self._mirror.defined(network) or network in self._refused:
            self._changed.add((network, container))
            self._woken.set()

    async def _write(self, store: NetworkStore) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            changed, self._changed = self._changed, set()
            puts: dict[str, str] = {}
            gone: list[str] = []
            here = {one for one in changed if self._mirror.defined(one[0])}
            for network, container in here:
                if not container:
                    continue
                key = keys.endpoint(network, container)
                text = endpoints.text_of(self._engine, self._mirror, network, container)
                if text is None:
                    gone.append(key)
                else:
                    puts[key] = text
            if puts:
                await store.put(puts, Life.PRESENCE)
            networks = {network for network, _ in here}
            gone += endpoints.spare_parts(self._engine, self._mirror, networks)
            now: Changes = {**puts, **dict.fromkeys(gone)}
            self._mirror.apply(now)
            if gone:
                await store.delete(gone)
            if changed - here:
                await self._import()  # of a network that others have removed

    async def _keep(self, store: NetworkStore) -> None:
        while True:
            await asyncio.sleep(self._choice.heartbeat)
            await store.keep()

    # ---- what is others'

    async def refresh(self) -> None:
        """Hear at once what there is. Raises StoreUnavailable."""
        store = await self.online()
        _, found = await store.read()
        await self._heard(self._mirror.apply(dict(found)))

    async def _hear(self, store: NetworkStore, revision: int) -> None:
        async for _, changes in store.changes(revision):
            await self._heard(self._mirror.apply(changes))

    async def _heard(self, former: Changes, *, everything: bool = False) -> None:
        """The mirror has these keys with other texts now."""
        touched = tunnels.touched(former)
        if everything or any(key.endswith("/definition") for key in former):
            await self._import()
            everything = True
        for network, containers in touched.items():
            for container in containers:
                self._engine.endpoints.names.changed(network, container)
        if everything or any(key.startswith("hosts/") for key in former):
            self.settle(self._mirror.known.definitions())
        else:
            tunnels.follow(self._engine, self._mirror, touched)

    async def _import(self) -> None:
        await importing.networks(self._engine, self._mirror, self._owned, self._refused)

    def settle(self, networks: Iterable[str]) -> None:
        """The tunnels of these lead to whom the mirror knows."""
        tunnels.settle(self._engine, self._mirror, networks)

    def own(self, network: str) -> None:
        """Somebody here makes or removes it: what others say of it has to wait."""
        self._owned.add(network)

    def disown(self, network: str) -> None:
        self._owned.discard(network)
        self._changed.add((network, ""))
        self._woken.set()
