"""A network with many containers on other hosts, and a host that was away for long."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from sampan.linux import netlink
from sampan.network.shared.sqlite import SqliteStore
from sampan.network.shared.store import Life
from tests.engine_process import Engine

from .test_shared_networks import (
    WIRE,
    Wire,
    asks,
    create,
    here,
    hosts_of,
    names,
    remove,
    run,
    says,
    space_of,
    until,
)

pytestmark = pytest.mark.needs("netns", "nft", "vxlan")
MANY = 1200


class Far:
    """Two hosts that are there in words alone, and containers of theirs."""

    def __init__(self, path: str, network: str) -> None:
        self.store, self.network = SqliteStore(path, ttl=600, hold=600), network

    async def join(self) -> None:
        await self.store.join()
        hosts = {
            f"hosts/h{n}": json.dumps({"name": f"h{n}", "address": f"{WIRE}{n}"}) for n in (2, 3)
        }
        await self.store.put(hosts, Life.PRESENCE)

    def key(self, number: int) -> str:
        return f"networks/{self.network}/endpoints/{number:064x}"

    def text(self, number: int, address: str = "", host: int = 0) -> str:
        address = address or f"10.0.{100 + number // 200}.{number % 200 + 2}"
        names = {"name": f"c{number}", "addresses": [address], "called": [f"c{number}"]}
        return json.dumps(
            {
                "host": f"h{host or 2 + number % 2}",
                "mac": "02:42:" + bytes(map(int, address.split("."))).hex(":"),
                "addresses": [address],
                "names": {**names, "ports": []},
            }
        )

    async def put(self, *numbers: int) -> None:
        await self.store.put({self.key(n): self.text(n) for n in numbers}, Life.PRESENCE)


def told(engine: Engine, network: str) -> tuple[dict[str, str], dict[str, str]]:
    """What the tunnel was told: MAC → host but for broadcasts, address → MAC."""
    with netlink.Socket(netns=space_of(engine)) as sock:
        link = sock.link(f"smpv-{network[:9]}")
        if link is None:
            return {}, {}
        behind = sock.neighbours(netlink.AF_BRIDGE, link.index)
        known = sock.neighbours(socket.AF_INET, link.index)
        hosts = {one.mac: one.address for one in behind if one.mac.strip("0:")}
        return hosts, {one.address: one.mac for one in known}


def test_a_thousand_containers_on_other_hosts_come_and_go(tmp_path: Path) -> None:
    path = f"{tmp_path}/networks.db"
    wire = Wire()
    with hosts_of(f"sqlite://{path}", wire, 1) as (one,):
        network = create(one, "sea", IPAM={"Config": [{"Subnet": "10.0.0.0/16"}]})["Id"]

        def settled(*counts: int) -> bool:
            return tuple(map(len, told(one, network))) == counts

        async def body() -> None:
            far = Far(path, network)
            await far.join()
            await far.put(*range(MANY))
            until(lambda: settled(MANY, MANY))
            run(one, "asking")
            assert names(one, "asking", f"c{MANY - 1}") == "10.0.105.201"
            await far.put(MANY)
            until(lambda: settled(MANY + 1, MANY + 1))
            await far.store.delete([far.key(MANY), far.key(7)])
            until(lambda: settled(MANY - 1, MANY - 1))
            # Another container has the address of one that ended, and is heard of before its end.
            new = {far.key(MANY + 1): far.text(MANY + 1, "10.0.100.10", host=2)}
            await far.store.put(new, Life.PRESENCE)
            until(lambda: names(one, "asking", f"c{MANY + 1}"))
            await far.store.delete([far.key(8)])
            until(lambda: not names(one, "asking", "c8"))
            await far.put(7)
            until(lambda: settled(MANY, MANY))
            assert told(one, network)[1]["10.0.100.10"] == "02:42:0a:00:64:0a"
            # It moves to another host.
            moved = {far.key(8): far.text(8, host=3), far.key(MANY + 1): far.text(MANY + 1, host=3)}
            await far.store.put(moved, Life.PRESENCE)
            mac = "02:42:0a:00:64:0a"
            until(lambda: told(one, network)[0].get(mac) == f"{WIRE}3")
            await far.store.delete(["hosts/h3"])
            until(lambda: not set(told(one, network)[0].values()) - {f"{WIRE}2"})
            await far.store.delete([far.key(n) for n in range(MANY + 2)])
            until(lambda: settled(0, 0))
            await far.store.close()

        asyncio.run(body())
        one.request("DELETE", "/containers/asking?force=1")
        assert "Traceback" not in one.log()
        assert "cannot tell" not in one.log()
    os.close(wire.space)


def address(engine: Engine, container: str) -> str:
    networks = engine.inspect(container)["NetworkSettings"]["Networks"]
    found: str = networks["sea"]["IPAddress"] if "sea" in networks else ""
    return found


def test_who_was_away_until_others_had_its_addresses_gets_new_ones(tmp_path: Path) -> None:
    path = f"{tmp_path}/networks.db"
    wire = Wire()
    with hosts_of(f"sqlite://{path}", wire, 2) as (one, two):
        network = create(one, "sea", IPAM={"Config": [{"Subnet": "10.0.0.0/24"}]})["Id"]
        until(lambda: here(two, "sea"))
        run(one, "one")
        assert run(two, "moved") == "10.0.0.16"
        run(two, "fixed", IPAMConfig={"IPv4Address": "10.0.0.20"})
        until(lambda: asks(one, "one", "moved") == "moved")
        pids = [two.inspect(name)["State"]["Pid"] for name in ("moved", "fixed")]
        two.stop()

        async def take() -> None:
            """As one does who finds that the part is nobody's any more."""
            store = SqliteStore(path, ttl=600, hold=600)
            await store.join()
            await store.put({f"networks/{network}/parts/10.0.0.16-28": "another"}, Life.ADDRESSES)
            await store.close()

        asyncio.run(take())
        two.start()
        until(lambda: address(two, "moved") not in ("", "10.0.0.16"))
        assert address(two, "moved") == "10.0.0.32"
        assert "10.0.0.32/24" in says(two, "moved", "ip", "addr")
        assert "10.0.0.16" not in says(two, "moved", "ip", "addr")
        until(lambda: asks(one, "one", "moved") == "moved")
        until(lambda: "fixed had 10.0.0.20 of network sea, which another host has" in two.log())
        assert "10.0.0.20" not in says(two, "fixed", "ip", "addr")
        assert [two.inspect(name)["State"]["Pid"] for name in ("moved", "fixed")] == pids
        assert "Traceback" not in two.log()
        remove(one, two, network="sea")
    os.close(wire.space)
