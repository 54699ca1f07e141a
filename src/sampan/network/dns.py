"""Names between containers: a DNS server at 127.0.0.11 of a container on a user-defined network.

The sockets live in the container's network namespace, on ports the kernel chose, and one nft table
there translates 127.0.0.11:53 to them: so a container may have a name server of its own on port 53.
Whoever holds the sockets may serve them; the engine does, on asyncio.

    sockets = open_sockets(netns)                       # again by the next engine: it takes over
    server = Server(sockets, names, upstreams)
    await server.start()
    ...
    await server.close()

Names known to `Names` are answered here, everything else goes to the upstreams from the host's
own namespace (so the host's 127.0.0.53 is as good as any): one after another, on a timeout or a
SERVFAIL the next, twice around. TCP is for answers that are too long, and goes to upstreams by TCP.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from sampan.kit.record import Record
from sampan.linux import netns as namespaces
from sampan.linux.nft import Nft, Refused
from sampan.network import dns_message
from sampan.network.files import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Sequence

_TTL = 600  # seconds, Docker's
_TIMEOUT = 1.5  # seconds an upstream has
_AT_ONCE = 256  # forwarded queries of one container
_TABLE = """\
create table ip sampan_dns
add chain ip sampan_dns output {{ type nat hook output priority -100; policy accept; }}
add rule ip sampan_dns output ip daddr {address} udp dport 53 dnat to {address}:{udp}
add rule ip sampan_dns output ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
"""


class Names(Protocol):
    """What a container may know: the networks it is on decide. Names come in lower case."""

    def addresses(self, name: str) -> Sequence[str] | None:
        """All addresses of a container's name or alias; None if it is not one of ours."""

    def name(self, address: str) -> str | None:
        """The name of the container with this address, as PTR tells it."""


class Sockets(Record):
    udp: socket.socket
    tcp: socket.socket


def open_sockets(netns: int) -> Sockets:
    """Bound sockets in the namespace, and the translation of port 53 to them.

    `lo` must be up there. Raises OSError.
    """
    with namespaces.entered(netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            for sock in (udp, tcp):
                sock.setblocking(False)
                sock.bind((EMBEDDED, 0))
            tcp.listen()
            nft = Nft()
        except BaseException:
            udp.close()
            tcp.close()
            raise
    try:
        ports = {"udp": udp.getsockname()[1], "tcp": tcp.getsockname()[1]}
        _translate(nft, _TABLE.format(address=EMBEDDED, **ports))
    except BaseException:
        udp.close()
        tcp.close()
        raise
    finally:
        nft.close()
    return Sockets(udp=udp, tcp=tcp)


def _translate(nft: Nft, table: str) -> None:
    try:
        nft.run(table)
    except Refused as refused:
        if refused.errno != errno.EEXIST:
            raise
        # A former engine's. Deleting costs 20 ms: closing the context waits for the kernel's
        # readers (nf_tables_trans_destroy_flush_work), so a fresh namespace is spared it.
        nft.run("delete table ip sampan_dns\n" + table)


class Server:
    """Serves one container. `upstreams` may be empty (an internal network): names only."""

    def __init__(
        self,
        sockets: Sockets,
        names: Names,
        upstreams: Sequence[str],
        *,
        port: int = 53,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._sockets, self._names, self._upstreams = sockets, names, upstreams
        self._port, self._timeout = port, timeout
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), sock=self._sockets.udp
        )
        self._streams = await asyncio.start_server(self._serve_stream, sock=self._sockets.tcp)

    async def close(self) -> None:
        self._datagrams.close()
        self._streams.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def datagram(self, data: bytes, peer: tuple[str, int]) -> None:
        query = dns_message.parse(data)
        if query is None:
            return
        reply = self._own(query, dns_message.UDP_LIMIT)
        if reply is None and len(self._tasks) >= _AT_ONCE:
            reply = dns_message.failure(query, dns_message.SERVFAIL)
        if reply is not None:
            self._datagrams.sendto(reply, peer)
            return
        task = asyncio.create_task(self._forward_datagram(query, data, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward_datagram(
        self, query: dns_message.Query, data: bytes, peer: tuple[str, int]
    ) -> None:
        reply = await self._forward(query, data, _ask_udp)
        self._datagrams.sendto(reply, peer)

    async def _serve_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                query = dns_message.parse(data)
                if query is None:
                    return
                reply = self._own(query, 65535) or await self._forward(query, data, _ask_tcp)
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    def _own(self, query: dns_message.Query, limit: int) -> bytes | None:
        """The answer to what we know ourselves; None for the rest of the world."""
        records: Sequence[bytes]
        if query.type == dns_message.PTR:
            address = dns_message.reverse_address(query.name)
            name = self._names.name(address) if address else None
            if name is None:
                return None
            records = [dns_message.pointer(name)]
        else:
            addresses = self._names.addresses(query.name)
            if addresses is None:
                return None
            # Known, but not of this type: an empty answer, so that nobody asks further.
            version = {dns_message.A: 4, dns_message.AAAA: 6}.get(query.type, 0)
            found = [ip_address(text) for text in addresses]
            records = [one.packed for one in found if one.version == version]
            start = secrets.randbelow(len(records)) if records else 0
            records = [*records[start:], *records[:start]]
        return dns_message.answer(query, records, ttl=_TTL, limit=limit)

    async def _forward(self, query: dns_message.Query, data: bytes, ask: _Ask) -> bytes:
        last = dns_message.failure(query, dns_message.SERVFAIL)
        for upstream in (*self._upstreams, *self._upstreams):
            number = secrets.randbits(16)
            message = dns_message.with_id(data, number)
            try:
                async with asyncio.timeout(self._timeout):
                    reply = await ask(upstream, self._port, message, query.question)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
            last = dns_message.with_id(reply, query.id)
            if dns_message.code(reply) not in (dns_message.SERVFAIL, dns_message.REFUSED):
                break
        return last


class _Ask(Protocol):
    async def __call__(
        self, upstream: str, port: int, message: bytes, question: bytes, /
    ) -> bytes: ...


async def _ask_udp(upstream: str, port: int, message: bytes, question: bytes) -> bytes:
    """A fresh port for each query, and a fresh id: what a forger would have to guess (RFC 5452)."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in upstream else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((upstream, port))
        await loop.sock_sendall(sock, message)
        number = int.from_bytes(message[:2], "big")
        while True:
            reply = await loop.sock_recv(sock, 65535)
            if dns_message.answers(reply, number, question):
                return reply


async def _ask_tcp(upstream: str, port: int, message: bytes, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(upstream, port)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()
    if not dns_message.answers(reply, int.from_bytes(message[:2], "big"), question):
        raise ConnectionError(f"{upstream} answered another question")
    return reply


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(data, addr)
