import os
import socket

import pytest

from sampan.linux import _libc, netlink, netns

pytestmark = pytest.mark.needs("netns")


@pytest.fixture
def space():
    """A descriptor of a network namespace of our own."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _libc.unshare(netns.CLONE_NEWNET)
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        _libc.setns(here, netns.CLONE_NEWNET)
        os.close(here)
    yield fd
    os.close(fd)


@pytest.fixture
def sock(space):
    with netlink.Socket(netns=space) as s:
        yield s


def test_a_socket_stays_where_it_was_made(sock):
    assert [link.name for link in sock.links()] == ["lo"]
    with netlink.Socket() as here:
        assert here.link("smpnltest") is None
        sock.send(netlink.add_bridge("smpnltest"))
        assert here.link("smpnltest") is None


def test_one_batch_makes_and_changes_links(sock):
    sock.send(
        netlink.add_bridge("br", mac="02:42:00:00:00:01", mtu=1300),
        netlink.set_link("lo", up=True),
    )
    bridge = sock.link("br")
    assert (bridge.kind, bridge.mac, bridge.mtu, bridge.up) == (
        "bridge",
        "02:42:00:00:00:01",
        1300,
        True,
    )
    sock.send(
        netlink.add_address(bridge.index, "10.1.2.3", 24),
        netlink.add_route("0.0.0.0", 0, gateway="10.1.2.1"),
        netlink.add_route("10.9.0.0", 16, index=bridge.index),
        netlink.add_neighbour(bridge.index, "10.1.2.9", "02:42:00:00:00:09"),
    )
    (neighbour,) = sock.neighbours(socket.AF_INET, bridge.index)
    assert (neighbour.address, neighbour.mac) == ("10.1.2.9", "02:42:00:00:00:09")
    sock.send(netlink.del_neighbour(bridge.index, "10.1.2.9"))
    assert sock.neighbours(socket.AF_INET, bridge.index) == []
    held = [(a.address, a.prefix) for a in sock.addresses() if a.index == bridge.index]
    assert held == [("10.1.2.3", 24)]
    routes = {(r.destination, r.prefix, r.gateway) for r in sock.routes() if r.table == 254}
    assert {("0.0.0.0", 0, "10.1.2.1"), ("10.9.0.0", 16, "")} <= routes
    sock.send(netlink.del_address(bridge.index, "10.1.2.3", 24))
    sock.send(
        netlink.set_link("br", up=False),
        netlink.set_link("br", index=bridge.index, rename="other"),
    )
    assert sock.link("other").index == bridge.index
    sock.send(netlink.del_link("other"))
    assert [link.name for link in sock.links()] == ["lo"]


def test_ports_of_a_bridge(sock, space):
    sock.send(netlink.add_bridge("br"))
    index = sock.link("br").index
    with netlink.Socket(netns=space) as other:
        other.send(
            netlink.add_veth(
                "v", peer="p", peer_netns=space, peer_mac="02:00:00:00:00:01", master=index
            ),
            netlink.set_port("v", hairpin=True, isolated=True),
        )
    assert sock.link("v").master == index
    sock.send(netlink.set_link("v", master=0))
    assert sock.link("v").master == 0


def test_the_first_failure_is_raised_and_the_rest_was_tried(sock):
    with pytest.raises(FileExistsError, match="netlink: add bridge lo: "):
        sock.send(netlink.add_bridge("lo"), netlink.add_bridge("br"))
    assert sock.link("br") is not None
    with pytest.raises(OSError, match="delete link nope"):
        sock.send(netlink.del_link("nope"))
    with pytest.raises(OSError, match=r"add route 0.0.0.0/0 via 9.9.9.9: .*unreachable|gateway"):
        sock.send(netlink.add_route("0.0.0.0", 0, gateway="9.9.9.9"))


def test_more_links_than_one_answer_holds(sock):
    sock.send(*(netlink.add_bridge(f"br{n}") for n in range(30)))
    assert len(sock.links()) == 31
    sock.send(*(netlink.del_link(f"br{n}") for n in range(30)))


def test_entering_comes_back_also_after_an_error(space):
    before = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(ZeroDivisionError), netns.entered(space):
        assert os.readlink("/proc/thread-self/ns/net") != before
        raise ZeroDivisionError
    assert os.readlink("/proc/thread-self/ns/net") == before
    with pytest.raises(OSError):
        netns.entered(0).__enter__()


def test_a_batch_may_be_of_any_length(sock):
    """Of more requests than one message, and more answers than the socket's buffer, can hold."""
    sock.send(netlink.add_bridge("b0"))
    index = sock.link("b0").index
    wanted = {f"10.{n >> 8}.{n & 255}.1": f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
              for n in range(2000)}  # fmt: skip
    sock.send(*(netlink.add_neighbour(index, *one) for one in wanted.items()))
    assert {n.address: n.mac for n in sock.neighbours(socket.AF_INET, index)} == wanted
    with pytest.raises(OSError, match=r"delete neighbour 10\.99\.0\.1"):
        sock.send(*(netlink.del_neighbour(index, one) for one in ("10.99.0.1", *wanted)))
    assert not sock.neighbours(socket.AF_INET, index)
