"""The resolver, asked from inside containers' namespaces and told by an engine."""

import os
import socket
import threading

import pytest

from sampan.linux import netlink, netns, unix
from sampan.linux.nft import Nft
from sampan.network import dns, dns_message, dns_zone, policy
from sampan.shim import protocol
from sampan.shim.forward import Forwarder
from sampan.shim.loop import Loop
from sampan.shim.resolver import Resolver
from tests.network.conftest import new_netns, own_host, sock  # noqa: F401
from tests.network.test_dns_zone import addresses, host, question, reply_to, ttls_of

pytestmark = pytest.mark.needs("netns", "nft")


class Upstream:
    """Answers every question with one address, or an error code, or never; UDP and TCP."""

    def __init__(self, address: str, reply: str | int | None) -> None:
        self.reply, self.asked = reply, 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 5300))
        self.tcp = socket.create_server((address, 5300))
        for work in (self._datagrams, self._streams):
            threading.Thread(target=work, daemon=True).start()

    def _datagrams(self) -> None:
        while True:
            data, peer = self.udp.recvfrom(4096)
            reply = self.answer(data)
            if reply:
                self.udp.sendto(reply, peer)

    def _streams(self) -> None:
        while True:
            client, _ = self.tcp.accept()
            data = client.recv(4096)
            reply = self.answer(data[2:])
            if reply:
                client.sendall(len(reply).to_bytes(2, "big") + reply)
            client.close()

    def answer(self, data: bytes) -> bytes | None:
        self.asked += 1
        query = dns_message.parse(data)
        assert query is not None
        if isinstance(self.reply, str):
            reply = reply_to(query.name, [300]).replace(b"\1\2\3\4", socket.inet_aton(self.reply))
            return data[:2] + reply[2:]
        return None if self.reply is None else dns_message.failure(query, self.reply)


class World:
    """A resolver in a thread, its engine's line, and one container that it serves."""

    def __init__(self, path: str, *replies: str | int | None) -> None:
        self.upstreams = [Upstream(f"127.0.0.{n}", r) for n, r in enumerate(replies, 1)]
        self.view = dns_zone.View(
            networks=(("net", "shore"),),
            upstreams=tuple(f"127.0.0.{n}" for n in range(1, len(replies) + 1)),
        )
        resolver = Resolver(path, "v1", Forwarder(Loop(), port=5300, timeout=0.1))
        self.thread = threading.Thread(target=resolver.run, daemon=True)
        self.thread.start()
        self.path, self.line = path, unix.connect(path)
        self.inside = container()
        self.serve("web", self.inside, os.getpid())

    def tell(self, message: dict, fds=()) -> dict:
        unix.send(self.line, message, fds)
        return unix.receive(self.line)[0]

    def serve(self, name: str, inside: int, pid: int, *more: str) -> None:
        sockets = dns.open_sockets(inside)
        fds = [sockets.udp.fileno(), sockets.tcp.fileno(), os.pidfd_open(pid)]
        hosts = {n: dns_zone.host_message(host(n, f"10.0.0.{len(n)}")) for n in (name, *more)}
        views = {name: dns_zone.view_message(self.view)}
        assert self.tell(protocol.update(views, {"net": hosts}, [name]), fds) == protocol.ok()
        sockets.close()
        os.close(fds[2])

    def ask(self, data: bytes) -> bytes:
        with sock(self.inside, "udp") as client:
            client.settimeout(5)
            client.connect(("127.0.0.11", 53))
            client.send(data)
            return client.recv(4096)

    def resolve(self, name: str) -> list[str] | int:
        reply = self.ask(question(name))
        return dns_message.code(reply) or addresses(reply, name)


def container() -> int:
    inside = new_netns()
    with netlink.Socket(netns=inside) as s:
        s.send(netlink.set_link("lo", up=True))
    return inside


@pytest.fixture
def world(own_host, tmp_path):  # noqa: F811
    """Run `body(world)` on a host of its own, with upstreams that answer so."""

    def run(body, *replies: str | int | None) -> None:
        async def there(_host) -> None:
            with netlink.Socket() as s:
                s.send(netlink.set_link("lo", up=True))
            body(World(str(tmp_path / "resolver.sock"), *replies))

        own_host(there)

    return run


def test_ours_and_the_rest_of_the_world(world):
    def body(w):
        assert w.resolve("WEB") == ["10.0.0.3"]
        assert w.resolve("example.org") == ["192.0.2.1"]
        assert [u.asked for u in w.upstreams] == [1, 0]

    world(body, "192.0.2.1", "192.0.2.2")


def test_an_upstream_that_fails_or_is_silent_is_passed_over(world):
    def body(w):
        assert w.resolve("example.org") == ["192.0.2.3"]
        assert [u.asked for u in w.upstreams] == [1, 1, 1]
        assert w.resolve("example.net") == ["192.0.2.3"]
        assert w.upstreams[1].asked == 1  # silent a moment ago: asked last
        w.upstreams[2].reply = dns_message.SERVFAIL
        assert w.resolve("example.com") == dns_message.SERVFAIL

    world(body, dns_message.SERVFAIL, None, "192.0.2.3")


def test_without_upstreams_an_internal_network_says_so(world):
    world(lambda w: w.resolve("example.org") == dns_message.SERVFAIL or pytest.fail("an answer"))


def test_an_answer_is_kept_for_the_next_one_who_asks(world):
    def body(w):
        for number in (b"\1\1", b"\2\2"):
            reply = w.ask(number + question("example.org")[2:])
            assert reply[:2] == number
            assert 290 <= ttls_of(reply, "example.org")[0] <= 300
        assert w.upstreams[0].asked == 1

    world(body, "192.0.2.1")


def test_questions_by_tcp(world):
    def body(w):
        with netns.entered(w.inside):
            client = socket.create_connection(("127.0.0.11", 53), 5)
        with client, client.makefile("rb") as answers:
            for name, expected in (("web", "10.0.0.3"), ("example.org", "192.0.2.1")):
                data = question(name)
                client.sendall(len(data).to_bytes(2, "big") + data)
                reply = answers.read(int.from_bytes(answers.read(2), "big"))
                assert addresses(reply, name) == [expected]

    world(body, "192.0.2.1")


def test_a_container_may_have_a_name_server_of_its_own(world):
    def body(w):
        with sock(w.inside, "udp", "0.0.0.0", 53), sock(w.inside, "tcp", "0.0.0.0", 53):
            assert w.resolve("web") == ["10.0.0.3"]

    world(body)


def test_a_name_that_changes_is_not_answered_from_memory(world):
    def body(w):
        assert w.resolve("web") == ["10.0.0.3"]
        moved = dns_zone.host_message(host("web", "10.0.0.77"))
        w.tell(protocol.update({}, {"net": {"web": moved}}))
        assert w.resolve("web") == ["10.0.0.77"]
        w.tell(protocol.update({}, {"net": {"web": None}}))
        assert w.resolve("web") == dns_message.SERVFAIL

    world(body)


def test_it_goes_on_without_an_engine_and_the_next_one_learns_whom_it_serves(world):
    def body(w):
        path = w.path
        w.line.close()
        assert w.resolve("web") == ["10.0.0.3"]
        w.line = unix.connect(path)
        assert w.tell(protocol.hello()) == protocol.resolver_answer("v1", ["web"])

    world(body)


def test_a_container_that_dies_is_forgotten_and_the_last_one_ends_it(world):
    def body(w):
        path = w.path
        death, read = os.pipe()[::-1]
        pid = os.fork()
        if pid == 0:
            os.close(death)
            os.read(read, 1)
            os._exit(0)
        w.serve("mortal", container(), pid)
        assert w.resolve("mortal") == ["10.0.0.6"]
        os.close(death)
        os.waitpid(pid, 0)
        while w.resolve("mortal") != dns_message.SERVFAIL:
            pass
        assert w.tell(protocol.hello())["containers"] == ["web"]
        assert w.tell(protocol.update({"web": None}, {})) == protocol.ok()
        w.thread.join(5)
        assert not w.thread.is_alive()
        assert not os.path.exists(path)

    world(body)


def test_a_name_in_a_policy_opens_the_way_to_its_addresses(world):
    def body(w):
        rules = policy.compile(
            [("", policy.parse({"sampan.network.egress": "*.example.org:443 web"}))]
        )
        with netns.entered(w.inside):
            nft = Nft()
        nft.run(rules.text)
        w.view = w.view.replace(admitted=rules.names, closed=rules.closed)
        w.tell(protocol.update({"web": dns_zone.view_message(w.view)}, {}))

        def reachable() -> set[str]:
            sets = [item["set"] for item in nft.list("list sets") if "set" in item]
            elements = [e for s in sets for e in s.get("elem", ())]
            return {e["elem"]["val"] for e in elements}

        assert reachable() == set()
        assert w.resolve("www.example.org") == ["192.0.2.1"]
        assert reachable() == {"192.0.2.1"}
        assert w.resolve("www.example.org") == ["192.0.2.1"]  # from memory, and added once more
        assert w.resolve("web") == ["10.0.0.3"]
        assert reachable() == {"192.0.2.1", "10.0.0.3"}
        assert w.resolve("secret.elsewhere.net") == dns_message.NXDOMAIN
        assert w.upstreams[0].asked == 1  # what is not allowed is not even asked

    world(body, "192.0.2.1")
