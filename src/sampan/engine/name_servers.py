"""Names between containers: who is called what on which network, and a server for each who may ask.

A container on a user-defined network asks 127.0.0.11 (`network.dns`). Its server knows the other
containers of its user-defined networks by name, short id, hostname and aliases, each also as
NAME.NETWORK; `--link` adds names for one container alone. The default bridge has no names, as
Docker has it. The rest goes to `--dns`, or to the host's servers, asked from the host.

    await servers.open(container, netns)      before "go", and by the next engine for what runs
    await servers.close(container)            its sockets keep the network namespace alive

The names of a network are read from the rows once; `changed` forgets them.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

from sampan.engine import containerfiles
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.network import dns, files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.endpoints import Place
    from sampan.engine.engine import Engine

log = logging.getLogger("sampan.names")


class Table:
    """The names on one network."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}  # address → container


class NameServers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._servers: dict[str, dns.Server] = {}
        self._tables: dict[str, Table] = {}

    async def open(self, container: Container, netns: int) -> None:
        """Serve names in its namespace (`lo` is up). Does nothing where it is served already."""
        if container.id in self._servers:
            return
        try:
            sockets = dns.open_sockets(netns)
        except OSError as error:
            raise errors.Unavailable(
                f"cannot serve names to container {container.name}: {error}"
            ) from error
        await self._serve(container, sockets)

    async def _serve(self, container: Container, sockets: dns.Sockets) -> None:
        server = dns.Server(sockets, Names(self, container), _upstreams(self._engine, container))
        self._servers[container.id] = server
        await server.start()

    async def take_over(self, container: Container) -> None:
        """A former engine served it: from now on we do. Costs 20 ms of waiting, in a thread."""
        pid = container.pid
        if not any(place.named for place in self._engine.endpoints.places(container)):
            return
        try:
            sockets = await in_thread(_open_sockets_of, pid)
        except OSError as error:
            if container.pid == pid:
                log.warning("cannot serve names to container %s: %s", container.name, error)
            return
        if container.pid == pid and container.id not in self._servers:
            await self._serve(container, sockets)
        else:  # it has ended meanwhile, perhaps even begun again
            sockets.udp.close()
            sockets.tcp.close()

    async def close(self, container: Container) -> None:
        if server := self._servers.pop(container.id, None):
            await server.close()

    async def stop(self) -> None:
        """The engine lets go; until the next one comes, names are not resolved."""
        servers, self._servers = self._servers, {}
        for server in servers.values():
            await server.close()

    def changed(self, network_id: str = "") -> None:
        """Somebody joined or left this network; or was renamed, which concerns all."""
        if network_id:
            self._tables.pop(network_id, None)
        else:
            self._tables.clear()

    def table(self, network_id: str) -> Table:
        found = self._tables.get(network_id)
        if found is None:
            found = self._tables[network_id] = self._read(network_id)
        return found

    def _read(self, network_id: str) -> Table:
        table = Table()
        rows = self._engine.db.rows(
            "select container_id, address, address6, settings from endpoints"
            " where network_id = ? order by rowid",
            (network_id,),
        )
        for row in rows:
            container = self._engine.containers.find(row["container_id"])
            if container is None:
                continue
            aliases = json.loads(row["settings"]).get("Aliases") or ()
            for address in filter(None, (row["address"], row["address6"])):
                table.names[address] = container.name
                for name in _called(container, aliases):
                    table.addresses.setdefault(name, []).append(address)
        return table


class Names(dns.Names):
    """What one container may ask about."""

    def __init__(self, servers: NameServers, container: Container) -> None:
        self._servers, self._container = servers, container

    def addresses(self, name: str) -> Sequence[str] | None:
        for place in self._places():
            table = self._servers.table(place.network.id)
            bare = name.removesuffix(f".{place.network.name.lower()}")
            found = table.addresses.get(bare) or table.addresses.get(name)
            if found is None and (target := self._linked(place.network.name, bare)):
                found = table.addresses.get(target)
            if found:
                return found
        return None

    def name(self, address: str) -> str | None:
        for place in self._places():
            if name := self._servers.table(place.network.id).names.get(address):
                return f"{name}.{place.network.name}"
        return None

    def _places(self) -> Iterator[Place]:
        places = self._container.engine.endpoints.places(self._container)
        return (place for place in places if place.named)

    def _linked(self, network: str, alias: str) -> str | None:
        """`--link CONTAINER:ALIAS` on this network."""
        settings = self._container.networking.get(network) or {}
        for link in settings.get("Links") or ():
            target, _, name = link.partition(":")
            if (name or target).lower() == alias:
                plain = str(target).removeprefix("/").lower()
                linked = self._container.engine.containers.find(plain)
                return linked.name.lower() if linked else plain
        return None


def _open_sockets_of(pid: int) -> dns.Sockets:
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return dns.open_sockets(netns)
    finally:
        os.close(netns)


def _called(container: Container, aliases: Sequence[str]) -> list[str]:
    """Its names in lower case, each once."""
    hostname = container.config.get("Hostname") or ""
    names = (container.name, container.id[:12], hostname, *aliases)
    return list(dict.fromkeys(name.lower() for name in names if name))


def _upstreams(engine: Engine, container: Container) -> Sequence[str]:
    """Whom to ask what is not ours; nobody, where every network is internal."""
    if all(place.network.internal for place in engine.endpoints.places(container)):
        return ()
    asked: Sequence[str] = container.host_config.get("Dns") or engine.settings["dns"]
    host = containerfiles.host_resolv_conf()
    return asked or files.nameservers(host, loopback=True) or files.FALLBACK
