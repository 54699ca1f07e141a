"""Ports and addresses are never lost nor given twice, over a thousand starts, ends and kills.

The engine's own plan, rows, sockets and nft map; a "monitor" is a copy of the sockets that a start
hands over. The dice are loaded: a seed makes a run that failed come again.
"""

import os
import random
import socket
import tempfile
from types import SimpleNamespace

import pytest

from sampan.engine import published_ports
from sampan.engine.containers import reconcile
from sampan.engine.db import Database
from sampan.engine.endpoints import Endpoints
from sampan.engine.events import Events
from sampan.engine.host_networks import HostNetworks
from sampan.engine.networks import Networks
from sampan.engine.settings import Settings
from sampan.engine.shared import SharedNetworks
from sampan.kit import errors
from sampan.kit.paths import Paths
from tests.network.conftest import own_host  # noqa: F401

pytestmark = pytest.mark.needs("netns", "nft")

CYCLES, NAMES, PORTS = 1000, [f"c{n}" for n in range(16)], range(20000, 20008)
SUBNETS = {"small": "10.91.0.0/28", "tiny": "10.92.0.0/29"}


class Container(SimpleNamespace):
    """As much of one as endpoints look at; `held` are its monitor's sockets, None while it is not.

    A killed engine's next one finds the container running if its monitor is there.
    """

    @property
    def running(self) -> bool:
        return self.held is not None


class World:
    """One installation: its database, and one engine after another over it."""

    def __init__(self, directory: str) -> None:
        self.paths = Paths(root=directory, run=f"{directory}/run")
        self.containers = {
            f"{n:064x}": Container(
                id=f"{n:064x}", name=name, networking={}, config={}, host_config={}, held=None
            )
            for n, name in enumerate(NAMES)
        }
        self.engine = self.new_engine()

    def new_engine(self) -> SimpleNamespace:
        """After a kill -9: nothing of the former one but the database is left."""
        engine = SimpleNamespace(paths=self.paths, settings=Settings(), events=Events())
        engine.db = Database(self.paths.database)
        engine.containers = _Book(self.containers)
        engine.networks = Networks(engine)
        engine.shared = SharedNetworks(engine)
        engine.host_networks = HostNetworks(engine)
        engine.endpoints = Endpoints(engine)
        engine.endpoints.names = SimpleNamespace(changed=lambda *_: None, close=_nothing)
        for container in self.containers.values():
            container.engine = engine
        return engine

    async def kill(self) -> None:
        self.engine.host_networks.close()
        self.engine.db.close()
        self.engine = self.new_engine()
        reconcile._release_stale(self.engine)
        await self.engine.host_networks.start()

    async def start(self, dice: random.Random, container: Container) -> None:
        """The steps of `start`; the engine may be killed between any two, or the start may fail."""
        names = dice.sample(sorted(SUBNETS), dice.randint(1, 2))
        container.networking = {name: {} for name in names}
        port = dice.choice([0, *PORTS])
        binding = {"HostIp": dice.choice(["", "127.0.0.1"]), "HostPort": str(port or "")}
        publish = dice.random() < 0.3
        container.host_config = {"PortBindings": {"80/tcp": [binding]}} if publish else {}
        end = dice.choice(["good"] * 30 + ["killed before", "killed after", "fails"])
        endpoints = self.engine.endpoints
        try:
            plan = endpoints.plan(container)
        except (errors.Conflict, errors.InvalidArgument):
            await endpoints.release(container)  # as a start that fails does
            return
        held = [os.dup(fd) for reservation, _ in plan.reservations for fd in reservation.fds()]
        plan.close()
        if end == "killed before":  # "go": the monitor aborts, and its sockets with it
            _close(held)
            await self.kill()
            return
        assert plan.main is not None
        if publish:
            await endpoints._publish(plan.main, published_ports.of(container))
        if end == "fails":
            _close(held)
            await endpoints.release(container)
            return
        container.held = held
        if end == "killed after":
            await self.kill()

    async def end(self, dice: random.Random, container: Container) -> None:
        _close(container.held)
        container.held = None
        if dice.random() < 0.03:
            await self.kill()  # it died while nobody looked
        else:
            await self.engine.endpoints.release(container)

    def check(self, *, firewall: bool) -> None:
        """What the rows, the sockets and the firewall say is what runs, no more and no less."""
        running = {c.id for c in self.containers.values() if c.running}
        rows = self.engine.db.rows("select container_id, network_id, address from endpoints")
        assert {row[0] for row in rows} == running
        places = [(row[1], row[2]) for row in rows]
        assert len(set(places)) == len(places), "an address was given twice"
        ports = {row[0] for row in self.engine.db.rows("select host_port from ports")}
        publishers = [c for c in self.containers.values() if c.held]
        assert len(ports) == len(publishers), "a port was given twice, or is nobody's"
        assert {p for p in PORTS if not _free(p)} == ports & set(PORTS)
        if firewall:
            assert self.translated() == ports

    def translated(self) -> set[int]:
        found = self.engine.host_networks.firewall._read()[0]
        return {int(key[-1]) for kind in ("published", "published_at") for key, _ in found[kind]}


class _Book:
    def __init__(self, containers: dict[str, Container]) -> None:
        self._containers = containers

    def __iter__(self):
        return iter(self._containers.values())

    def find(self, identity: str) -> Container | None:
        return self._containers.get(identity)


async def _nothing(*_: object) -> None: ...


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def fill(world: World) -> None:
    for identity, container in world.containers.items():
        columns = "id, name, created, image_id, image_ref, config, host_config, networking, mounts"
        world.engine.db.execute(
            f"insert into containers ({columns}, status, started_at, finished_at)"
            " values (?, ?, '', '', '', '{}', '{}', '{}', '[]', 'created', '', '')",
            (identity, container.name),
        )


@pytest.fixture
def in_memory():
    """A directory on tmpfs: closing a database syncs it, and every killed engine's is closed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield directory


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_a_thousand_cycles_leak_nothing(own_host, in_memory, seed):  # noqa: F811
    async def body(_host):
        dice, world = random.Random(seed), World(in_memory)
        await world.engine.networks.start()
        await world.engine.host_networks.start()
        for name, subnet in SUBNETS.items():
            await world.engine.networks.create(name, asked=[{"Subnet": subnet}])
        fill(world)
        cycles = 0
        while cycles < CYCLES:
            container = dice.choice(list(world.containers.values()))
            if container.running:
                await world.end(dice, container)
                cycles += 1
            else:
                await world.start(dice, container)
            world.check(firewall=dice.random() < 0.05)
        for container in world.containers.values():
            if container.running:
                await world.end(dice, container)
        world.check(firewall=True)
        assert not any(c.running for c in world.containers.values())
        await world.engine.host_networks.teardown()

    own_host(body, seconds=280)


def test_two_engines_side_by_side_take_nothing_from_each_other(own_host, tmp_path):  # noqa: F811
    async def body(_host):
        worlds = [World(str(tmp_path / name)) for name in ("one", "two")]
        for world, subnet in zip(worlds, ("10.93.0.0/28", "10.94.0.0/28"), strict=True):
            await world.engine.networks.start()
            await world.engine.host_networks.start()
            await world.engine.networks.create("small", asked=[{"Subnet": subnet}])
            fill(world)
        first, second = (next(iter(world.containers.values())) for world in worlds)
        for container in (first, second):
            container.networking = {"small": {}}
            container.host_config = {"PortBindings": {"80/tcp": [{"HostPort": "20000"}]}}
        one, two = (world.engine.endpoints for world in worlds)
        plan = one.plan(first)
        with pytest.raises(errors.Conflict, match="port is already allocated"):
            two.plan(second)
        await one._publish(plan.main, published_ports.of(first))
        assert worlds[1].translated() == set()
        await worlds[1].engine.host_networks.teardown()
        assert worlds[0].translated() == {20000}
        plan.close()
        await one.release(first)
        await worlds[0].engine.host_networks.teardown()

    own_host(body)
