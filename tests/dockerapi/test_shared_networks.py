"""Networks that hosts share: three network namespaces as hosts, an engine in each, a real etcd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.linux import netlink
from sampan.network.shared.sqlite import SqliteStore
from sampan.network.shared.store import Life
from tests import etcd_server
from tests.engine_process import Engine
from tests.network.conftest import new_netns

pytestmark = pytest.mark.needs("netns", "nft", "vxlan")
WIRE = "203.0.113."
TTL = 6  # seconds until a host that is silent is forgotten
PATIENCE = 30.0
OPTIONS = (f"discovery.ttl={TTL}", "discovery.heartbeat=1")


def until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """What it gives, once it is something; each look is a question to an engine."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
    return found


class Wire:
    """A switch in a namespace of its own, where etcd is; hosts have a cable to it each."""

    def __init__(self) -> None:
        self.space = new_netns()
        with netlink.Socket(netns=self.space) as sock:
            sock.send(netlink.set_link("lo", up=True), netlink.add_bridge("wire"))
            self.index = sock.link("wire").index
            sock.send(netlink.add_address(self.index, f"{WIRE}100", 24))

    def cable(self, number: int) -> int:
        """A host's namespace, with its end of the cable as eth0."""
        there = new_netns()
        with netlink.Socket(netns=self.space) as sock, netlink.Socket(netns=there) as inside:
            mac = f"02:00:00:00:02:{number:02x}"
            sock.send(
                netlink.add_veth(
                    f"port{number}", peer="eth0", peer_netns=there, peer_mac=mac, master=self.index
                )
            )
            inside.send(netlink.set_link("lo", up=True), netlink.set_link("eth0", up=True))
            index = inside.link("eth0").index
            inside.send(netlink.add_address(index, f"{WIRE}{number}", 24))
        return there

    def plug(self, number: int, *, into: bool) -> None:
        with netlink.Socket(netns=self.space) as sock:
            sock.send(netlink.set_link(f"port{number}", up=into))


def inside(space: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{space}")


def space_of(engine: Engine) -> int:
    """The descriptor in `inside`."""
    return int(engine.below[1].rpartition("/")[2])


class Hosts:
    def __init__(self, wire: Wire, engines: list[Engine], url: str) -> None:
        self.wire, self.engines, self.url = wire, engines, url


@contextlib.contextmanager
def hosts_of(store: str, wire: Wire, number: int = 3) -> Iterator[list[Engine]]:
    options = [word for option in OPTIONS for word in ("--cluster-store-opt", option)]
    with contextlib.ExitStack() as stack:
        engines = []
        for one in range(1, number + 1):
            space = wire.cable(one)
            stack.callback(os.close, space)
            words = ("--cluster-store", store, "--cluster-advertise", f"{WIRE}{one}", *options)
            engines.append(stack.enter_context(Engine(*words, below=inside(space))))
        yield engines


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    wire = Wire()
    with etcd_server.running(f"{WIRE}100", below=inside(wire.space)) as url:
        store = url.replace("http:", "etcd:") + "/trial"
        with hosts_of(store, wire) as engines:
            yield Hosts(wire, engines, url)
            for engine in engines:
                assert "Traceback" not in engine.log(), engine.log()
    os.close(wire.space)


@pytest.fixture
def sea(hosts: Hosts) -> Iterator[str]:
    """A network that the first host made; all have it."""
    create(hosts.engines[0], "sea", IPAM={"Config": [{"Subnet": "10.0.0.0/24"}]})
    for engine in hosts.engines:
        until(lambda engine=engine: here(engine, "sea"))
    yield "sea"
    remove(*hosts.engines, network="sea")


def remove(*engines: Engine, network: str) -> None:
    """It and all containers, once each of these engines has heard so."""
    for engine in engines:
        for container in engine.request("GET", "/containers/json?all=1")[1]:
            engine.request("DELETE", f"/containers/{container['Id']}?force=1")
    until(lambda: engines[0].request("DELETE", f"/networks/{network}")[0] in (204, 404))
    for engine in engines:
        until(lambda engine=engine: not here(engine, network))


def create(engine: Engine, name: str, **body: Any) -> dict[str, Any]:
    body = {"Name": name, "Driver": "overlay", "Attachable": True, **body}
    status, answer = engine.request("POST", "/networks/create", body)
    assert status == 201, answer
    found: dict[str, Any] = engine.request("GET", f"/networks/{answer['Id']}")[1]
    return found


def here(engine: Engine, name: str) -> dict[str, Any] | None:
    status, answer = engine.request("GET", f"/networks/{name}")
    return answer if status == 200 else None


def run(engine: Engine, name: str, network: str = "sea", **endpoint: Any) -> str:
    """A container that answers with its name at port 80; its address."""
    container = engine.run(
        "sh", "-c", f"mkdir /w; echo {name} >/w/index.html; exec httpd -f -h /w",
        name=name,
        HostConfig={"NetworkMode": network, "Init": True},
        NetworkingConfig={"EndpointsConfig": {network: endpoint}},
    )  # fmt: skip
    address: str = engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]
    return address


def says(engine: Engine, container: str, *command: str) -> str:
    """What a command in that container writes; its errors too."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, "Tty": True}
    status, answer = engine.request("POST", f"/containers/{container}/exec", body)
    assert status == 201, answer
    _, output = engine.request("POST", f"/exec/{answer['Id']}/start", {"Tty": True})
    return (output if isinstance(output, bytes) else b"").decode()


def store_finding(engine: Engine) -> str:
    found = engine.request("GET", "/sampan/networks/doctor")[1]
    text: str = next(one["text"] for one in found if one["about"] == "network store")
    return text


def names(engine: Engine, container: str, name: str) -> str:
    """The address that a container is told for a name; "" for none."""
    said = says(engine, container, "nslookup", f"{name}.sea", "127.0.0.11")
    return said.partition("Name:")[2].partition("Address:")[2].split("\n")[0].strip()


def asks(engine: Engine, container: str, name: str) -> str:
    """What the container called that answers; by its address, as static programs crash on names."""
    address = names(engine, container, name)
    if not address:
        return ""
    ask = says(engine, container, "timeout", "1", "wget", "-q", "-O", "-", f"http://{address}/")
    return ask.strip() if "wget:" not in ask else ""


@etcd_server.needed
def test_a_network_of_one_host_is_there_on_all(hosts: Hosts, sea: str) -> None:
    one, two, three = hosts.engines
    found = [here(engine, sea) for engine in hosts.engines]
    assert len({network["Id"] for network in found}) == 1
    assert {network["Scope"] for network in found} == {"global"}
    assert {network["IPAM"]["Config"][0]["Subnet"] for network in found} == {"10.0.0.0/24"}
    assert {peer["IP"] for peer in found[0]["Peers"]} == {f"{WIRE}{n}" for n in (1, 2, 3)}
    addresses = [run(engine, f"c{n}") for n, engine in enumerate((one, one, two, three))]
    assert len(set(addresses)) == 4
    for engine, mine in ((one, "c0"), (two, "c2"), (three, "c3")):
        for name in ("c0", "c1", "c2", "c3"):
            assert until(lambda e=engine, m=mine, n=name: asks(e, m, n)) == name


@etcd_server.needed
def test_names_come_and_go_with_their_containers(hosts: Hosts, sea: str) -> None:
    one, two, _ = hosts.engines
    run(one, "asking")
    address = run(two, "web", Aliases=["shop"])
    until(lambda: names(one, "asking", "shop"))
    assert "web.sea" in says(one, "asking", "nslookup", address, "127.0.0.11")
    two.request("POST", "/containers/web/rename?name=store")
    until(lambda: names(one, "asking", "store") and not names(one, "asking", "web"))
    two.request("DELETE", "/containers/store?force=1")
    until(lambda: not names(one, "asking", "shop"))


@etcd_server.needed
def test_one_host_is_cut_off_and_back(hosts: Hosts, sea: str) -> None:
    one, two, three = hosts.engines
    run(one, "one"), run(two, "two"), run(three, "three")
    for engine, mine, other in ((one, "one", "three"), (three, "three", "one")):
        until(lambda e=engine, m=mine, o=other: asks(e, m, o) == o)
    here_id = here(three, sea)["Id"]
    hosts.wire.plug(3, into=False)
    try:
        # The others forget it once its lease has ended; it remembers them, and goes on.
        until(lambda: not names(one, "one", "three"))
        assert [peer["IP"] for peer in here(one, sea)["Peers"]] == [f"{WIRE}1", f"{WIRE}2"]
        assert names(three, "three", "one")
        run(three, "meanwhile")  # of the part that it has
        until(lambda: asks(three, "three", "meanwhile") == "meanwhile")
        run(two, "new")
        two.request("DELETE", "/containers/two?force=1")
        three.stop()
        tunnel = f"smpv-{here_id[:9]}"
        with netlink.Socket(netns=space_of(three)) as sock:
            sock.send(netlink.del_link(tunnel))  # as after a reboot
            three.start()  # an engine that comes up without etcd goes on with what it knows
            index = sock.link(tunnel).index
            assert f"{WIRE}1" in {e.address for e in sock.neighbours(netlink.AF_BRIDGE, index)}
        assert names(three, "three", "one")
        status, answer = three.request("POST", "/networks/create",
                                       {"Name": "lake", "Driver": "overlay"})  # fmt: skip
        assert (status, "the network store cannot be asked" in str(answer)) == (503, True), answer
        assert "not followed" in store_finding(three)
    finally:
        hosts.wire.plug(3, into=True)
    until(lambda: asks(one, "one", "meanwhile") == "meanwhile")
    until(lambda: asks(three, "three", "new") == "new")
    until(lambda: asks(three, "meanwhile", "one") == "one")
    assert not names(three, "three", "two")
    assert f"({WIRE}1)" in store_finding(three)


@etcd_server.needed
def test_an_engine_that_restarts_is_not_missed(hosts: Hosts, sea: str) -> None:
    one, two, _ = hosts.engines
    run(one, "one"), run(two, "two")
    until(lambda: asks(one, "one", "two") == "two")
    two.stop()
    assert asks(one, "one", "two") == "two"
    two.start()
    two.request("DELETE", "/containers/two?force=1")
    until(lambda: not names(one, "one", "two"))


@etcd_server.needed
def test_what_is_in_use_elsewhere_stays(hosts: Hosts, sea: str) -> None:
    one, two, _ = hosts.engines
    run(two, "two")
    until(lambda: b"active endpoints on" in str(one.request("DELETE", "/networks/sea")).encode())
    assert one.request("POST", "/networks/prune")[1]["NetworksDeleted"] is None
    assert here(two, sea)


@etcd_server.needed
def test_bad_wishes(hosts: Hosts, sea: str) -> None:
    two = hosts.engines[1]

    def refused(engine: Engine, **body: Any) -> str:
        body = {"Driver": "overlay", "Name": "lake", **body}
        status, answer = engine.request("POST", "/networks/create", body)
        assert status >= 400, answer
        return str(answer["message"])

    assert "already exists" in refused(two, Name="sea")
    assert "overlaps" in refused(two, IPAM={"Config": [{"Subnet": "10.0.0.0/16"}]})
    option = {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
    assert "another network has the number 4097" in refused(two, Options=option)
    assert "encrypted overlay networks are not supported" in refused(two, Options={"encrypted": ""})


@etcd_server.needed
def test_a_fixed_address_of_a_part_that_nobody_else_has(hosts: Hosts) -> None:
    one, two, _ = hosts.engines
    create(one, "bay", IPAM={"Config": [{"Subnet": "10.9.8.0/24"}]})
    until(lambda: here(two, "bay"))
    try:
        address = run(one, "one", "bay")
        container = two.create("true", HostConfig={"NetworkMode": "bay"}, NetworkingConfig={
            "EndpointsConfig": {"bay": {"IPAMConfig": {"IPv4Address": address}}}})  # fmt: skip
        status, answer = two.request("POST", f"/containers/{container}/start")
        assert status >= 400
        assert f"address {address} of network bay is in 10.9.8.0/28, which is" in str(answer)
        assert run(two, "fixed", "bay", IPAMConfig={"IPv4Address": "10.9.8.200"}) == "10.9.8.200"
    finally:
        remove(one, two, network="bay")


@etcd_server.needed
def test_a_full_network_says_so(hosts: Hosts) -> None:
    one, two, _ = hosts.engines
    create(one, "pond", IPAM={"Config": [{"Subnet": "10.9.9.0/29"}]})
    until(lambda: here(two, "pond"))
    try:
        addresses = [
            run(engine, f"p{n}", "pond") for n, engine in enumerate((one, two, one, two, one))
        ]
        assert sorted(addresses) == [f"10.9.9.{n}" for n in (2, 3, 4, 5, 6)]
        container = two.create("true", HostConfig={"NetworkMode": "pond"})
        _, answer = two.request("POST", f"/containers/{container}/start")
        assert "no available IPv4 addresses on network pond" in str(answer), answer
    finally:
        remove(one, two, network="pond")


def test_hosts_that_share_a_file(tmp_path: Path) -> None:
    wire = Wire()
    with hosts_of(f"sqlite://{tmp_path}/networks.db", wire, 2) as (one, two):
        create(one, "sea")
        until(lambda: here(two, "sea"))
        run(one, "one"), run(two, "two")
        until(lambda: asks(one, "one", "two") == "two")
        until(lambda: asks(two, "two", "one") == "one")
        assert "Traceback" not in one.log() + two.log()
    os.close(wire.space)


def test_what_another_program_writes_harms_nobody(tmp_path: Path) -> None:
    """Garbage is passed over, whatever it stands in."""
    path = f"{tmp_path}/networks.db"
    wire = Wire()
    with hosts_of(f"sqlite://{path}", wire, 1) as (one,):
        network = create(one, "sea")["Id"]
        below = f"networks/{network}"
        garbage = {
            "hosts/x": '{"name": "x", "address": "nowhere"}',
            "networks/y/definition": '{"name": "y", "created": "", "spec": {}}',
            f"{below}/parts/everything": "x",
            f"{below}/endpoints/z": '{"host": "x", "mac": "02", "addresses": ["a"], "names": {}}',
            f"{below}/endpoints/zz": "[",
            "numbers/many": "x",
        }

        async def write() -> None:
            store = SqliteStore(path, ttl=60, hold=60)
            await store.join()
            await store.put(garbage, Life.FOREVER)
            await store.claim({"hosts/good": '{"name": "good", "address": ""}'}, Life.FOREVER)
            await store.close()

        asyncio.run(write())
        until(lambda: len(here(one, "sea")["Peers"]) == 2)
        assert run(one, "one").startswith("10.0.0.")
        one.request("DELETE", "/containers/one?force=1")
        assert "Traceback" not in one.log()
    os.close(wire.space)


def test_a_host_without_a_store_is_alone(engine: Engine) -> None:
    found = create(engine, "sea", EnableIPv6=True)
    try:
        assert [peer["IP"] for peer in found["Peers"]] == [""]
        run(engine, "one"), run(engine, "two")
        until(lambda: asks(engine, "one", "two") == "two")
        six = engine.inspect("two")["NetworkSettings"]["Networks"]["sea"]["GlobalIPv6Address"]
        assert six in says(engine, "one", "nslookup", "two.sea", "127.0.0.11")
    finally:
        for name in ("one", "two"):
            engine.request("DELETE", f"/containers/{name}?force=1")
        assert engine.request("DELETE", "/networks/sea")[0] == 204
