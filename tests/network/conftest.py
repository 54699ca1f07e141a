"""Whole little internets in namespaces of our own: a host, containers on it, an outside."""

import asyncio
import contextlib
import os
import signal
import socket
import traceback

import pytest

from sampan.linux import _libc, netlink, netns
from sampan.linux.nft import Nft
from sampan.network.bridge import BridgeDriver
from sampan.network.driver import Endpoint, Network
from sampan.network.firewall import Firewall
from sampan.network.overlay import OverlayDriver

OUTSIDE, HOST = "198.51.100.9", "198.51.100.1"
OUTSIDE6, HOST6 = "2001:db8::9", "2001:db8::1"


def new_netns() -> int:
    """A descriptor of a fresh network namespace that nobody lives in."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _libc.unshare(netns.CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        _libc.setns(here, netns.CLONE_NEWNET)
        os.close(here)


class Host:
    """What a test body gets: it runs inside the host's namespace, in a process of its own."""

    def __init__(self) -> None:
        self.outside = new_netns()
        with netlink.Socket() as here, netlink.Socket(netns=self.outside) as there:
            here.send(netlink.set_link("lo", up=True))
            veth = netlink.add_veth(
                "uplink", peer="eth0", peer_netns=self.outside, peer_mac="02:00:00:00:00:09"
            )
            here.send(veth)
            there.send(netlink.set_link("lo", up=True), netlink.set_link("eth0", up=True))
            for sock, name, addresses in (
                (here, "uplink", ((HOST, 24), (HOST6, 64))),
                (there, "eth0", ((OUTSIDE, 24), (OUTSIDE6, 64))),
            ):
                link = sock.link(name)
                assert link is not None
                sock.send(*(netlink.add_address(link.index, *address) for address in addresses))
        self.here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.nft = Nft()

    def driver(self, table: str = "smptest", kind: str = "bridge") -> BridgeDriver:
        made = OverlayDriver if kind == "overlay" else BridgeDriver
        return made(Firewall(table, self.nft))

    def ruleset(self) -> str:
        return self.nft.run("list ruleset")

    def links(self) -> set[str]:
        with netlink.Socket() as sock:
            return {link.name for link in sock.links()}


def network(number: int = 1, **changes: object) -> Network:
    values = {
        "id": f"{number:064x}",
        "name": f"net{number}",
        "subnet": f"10.77.{number}.0/24",
        "gateway": f"10.77.{number}.1",
        "bridge": f"smptest{number}",
    }
    return Network(**{**values, **changes})


def dual(number: int = 1, **changes: object) -> Network:
    """The same with IPv6 beside."""
    six = {"subnet6": f"fd00:77:{number}::/64", "gateway6": f"fd00:77:{number}::1"}
    return network(number, **{**six, **changes})


def dual_endpoint(number: int, network_number: int = 1, **changes: object) -> Endpoint:
    six = {"ipv6": f"fd00:77:{network_number}::{number}", "prefix6": 64}
    return endpoint(number, network_number, **{**six, **changes})


def endpoint(number: int, network_number: int = 1, **changes: object) -> Endpoint:
    values = {
        "container_id": f"{number:064d}",
        "name": f"c{number}",
        "ipv4": f"10.77.{network_number}.{number}",
        "prefix": 24,
    }
    return Endpoint(**{**values, **changes})


@contextlib.contextmanager
def sock(where: int, kind: str, address: str = "", port: int = 0):
    """A socket in the namespace; bound (and listening) if a port is given."""
    with netns.entered(where):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    with s:
        s.settimeout(2)
        if port:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            if kind == "tcp":
                s.listen()
        yield s


def talk(
    client: int,
    target: tuple[str, int],
    server: int,
    port: int,
    kind: str = "tcp",
    *,
    patience: float = 2,
) -> str:
    """Send to `target` from one namespace, answer from the socket at `port` in the other.

    Gives the address that the server saw; raises OSError (a timeout) if it does not work.
    """
    anywhere = "::" if ":" in target[0] else "0.0.0.0"
    with sock(server, kind, anywhere, port) as s, sock(client, kind, anywhere) as c:
        s.settimeout(patience)
        if kind == "udp":
            c.connect(target)
            c.send(b"ping")
            _, peer = s.recvfrom(99)
            s.sendto(b"pong", peer)
        else:
            c.connect(target)
            accepted, peer = s.accept()
            with accepted:
                accepted.sendall(b"pong")
        assert c.recv(99) == b"pong"
        return str(peer[0])


def blocked(client: int, target: tuple[str, int], kind: str = "tcp") -> bool:
    """Whether nothing comes back at all (a dropped packet; ICMP would raise another error)."""
    with sock(client, kind, target[0]) as c:
        c.settimeout(0.15)
        try:
            c.connect(target)
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            return False
        return False


@pytest.fixture
def own_host():
    """Run an async test body `body(host)` as the only program on a host of its own.

    It is killed after so many `seconds`, which a hang should reach and a loaded machine not.
    """

    def run(body, *, seconds: int = 30) -> None:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(seconds)
                _libc.unshare(netns.CLONE_NEWNET)
                asyncio.run(body(Host()))
                code = 0
            except BaseException:
                os.write(write, traceback.format_exc()[-60000:].encode())
            finally:
                os._exit(code)
        os.close(write)
        with open(read, "rb") as file:
            message = file.read().decode()
        assert os.waitpid(pid, 0)[1] == 0, message

    return run
