"""The embedded name server, asked from inside a container's namespace."""

import asyncio
import socket
import struct

import pytest

from sampan.linux import netlink, netns
from sampan.network import dns, dns_message

from .conftest import new_netns, sock

pytestmark = pytest.mark.needs("netns", "nft")


class Book:
    def addresses(self, name):
        many = [f"10.0.1.{n}" for n in range(1, 60)]
        return {"web": ["10.0.0.2"], "pair": ["10.0.0.2", "10.0.0.3"], "many": many}.get(name)

    def name(self, address):
        return "web.net1" if address == "10.0.0.2" else None


class Upstream(asyncio.DatagramProtocol):
    """Answers every question with one address, or with an error code, or never."""

    def __init__(self, reply: str | int | None) -> None:
        self.reply, self.asked = reply, 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.asked += 1
        query = dns_message.parse(data)
        if isinstance(self.reply, str):
            records = [socket.inet_aton(self.reply)]
            self.transport.sendto(dns_message.answer(query, records, ttl=1), addr)
        elif self.reply is not None:
            self.transport.sendto(dns_message.failure(query, self.reply), addr)


def question(name: str, kind: int = dns_message.A) -> bytes:
    return (
        struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0)
        + dns_message.pointer(name)
        + struct.pack(">HH", kind, 1)
    )


def addresses(reply: bytes, name: str) -> list[str]:
    """Of an answer whose records all have 4 bytes of data."""
    assert reply[:2] == b"\x12\x34"
    count = struct.unpack_from(">H", reply, 6)[0]
    offset = len(question(name))
    return [
        ".".join(map(str, reply[offset + 16 * n + 12 : offset + 16 * n + 16])) for n in range(count)
    ]


async def ask(where: int, data: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with sock(where, "udp") as client:
        client.setblocking(False)
        client.connect(("127.0.0.11", 53))
        await loop.sock_sendall(client, data)
        async with asyncio.timeout(5):
            return await loop.sock_recv(client, 4096)


def container() -> int:
    inside = new_netns()
    with netlink.Socket(netns=inside) as s:
        s.send(netlink.set_link("lo", up=True))
    return inside


async def serve(inside: int, *replies: str | int | None):
    """A server whose upstreams are 127.0.0.1, .2, … of the host; and those upstreams."""
    loop = asyncio.get_running_loop()
    upstreams = []
    for n, reply in enumerate(replies, 1):
        made = await loop.create_datagram_endpoint(
            lambda reply=reply: Upstream(reply), local_addr=(f"127.0.0.{n}", 5300)
        )
        upstreams.append(made[1])
    names = [f"127.0.0.{n}" for n in range(1, len(replies) + 1)]
    sockets = dns.open_sockets(inside)
    server = dns.Server(sockets, Book(), names, port=5300, timeout=0.1)
    await server.start()
    return server, upstreams


def test_names_of_containers(own_host):
    async def body(host):
        inside = container()
        server, _ = await serve(inside)
        assert addresses(await ask(inside, question("WEB")), "web") == ["10.0.0.2"]
        pair = {tuple(addresses(await ask(inside, question("pair")), "pair")) for _ in range(40)}
        assert pair == {("10.0.0.2", "10.0.0.3"), ("10.0.0.3", "10.0.0.2")}
        ipv6 = await ask(inside, question("web", dns_message.AAAA))
        assert (dns_message.code(ipv6), addresses(ipv6, "web")) == (0, [])
        back = await ask(inside, question("2.0.0.10.in-addr.arpa", dns_message.PTR))
        assert back.endswith(b"\x03web\x04net1\x00")
        await server.close()

    own_host(body)


def test_the_rest_of_the_world_is_asked_of_the_upstreams(own_host):
    async def body(host):
        inside = container()
        server, (first, _) = await serve(inside, "192.0.2.1", "192.0.2.2")
        reply = await ask(inside, question("example.org"))
        assert addresses(reply, "example.org") == ["192.0.2.1"]
        assert first.asked == 1
        await server.close()

    own_host(body)


def test_an_upstream_that_fails_or_is_silent_is_passed_over(own_host):
    async def body(host):
        inside = container()
        server, ups = await serve(inside, dns_message.SERVFAIL, None, "192.0.2.3")
        reply = await ask(inside, question("example.org"))
        assert addresses(reply, "example.org") == ["192.0.2.3"]
        assert [u.asked for u in ups] == [1, 1, 1]
        ups[2].reply = dns_message.SERVFAIL
        assert dns_message.code(await ask(inside, question("example.org"))) == 2
        await server.close()

    own_host(body)


def test_without_upstreams_an_internal_network_says_so(own_host):
    async def body(host):
        inside = container()
        server, _ = await serve(inside)
        assert dns_message.code(await ask(inside, question("example.org"))) == 2
        await server.close()

    own_host(body)


def test_long_answers_come_by_tcp(own_host):
    async def body(host):
        inside = container()
        server, _ = await serve(inside)
        short = await ask(inside, question("many"))
        assert short[2] & 0x02  # truncated
        assert len(short) <= 512
        with netns.entered(inside):
            raw = socket.socket()
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.11", 53))
        reader, writer = await asyncio.open_connection(sock=raw)
        data = question("many")
        writer.write(len(data).to_bytes(2, "big") + data)
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        assert len(addresses(reply, "many")) == 59
        writer.close()
        await server.close()

    own_host(body)


def test_a_container_may_have_a_name_server_of_its_own(own_host):
    async def body(host):
        inside = container()
        server, _ = await serve(inside)
        with sock(inside, "udp", "0.0.0.0", 53), sock(inside, "tcp", "0.0.0.0", 53):
            assert addresses(await ask(inside, question("web")), "web") == ["10.0.0.2"]
        await server.close()

    own_host(body)


def test_the_next_engine_takes_over(own_host):
    async def body(host):
        inside = container()
        await serve(inside)  # killed: never closed
        server, _ = await serve(inside)
        assert addresses(await ask(inside, question("web")), "web") == ["10.0.0.2"]
        await server.close()

    own_host(body)


@pytest.mark.parametrize("cut", range(len(question("web"))))
def test_malformed_queries_are_none(cut):
    assert dns_message.parse(question("web")[:cut]) is None


def test_pointers_and_answers_are_no_questions():
    pointer = question("web")[:12] + b"\xc0\x0c\x00\x01\x00\x01"
    assert dns_message.parse(pointer) is None
    query = dns_message.parse(question("web"))
    assert dns_message.parse(dns_message.failure(query, 2)) is None
