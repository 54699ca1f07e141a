"""TLS in front of the API: each connection is decrypted into a socket pair, which the API serves.

So everything behind is a plain socket: it can be taken over and handed to a monitor, and half of it
can be closed, which asyncio's own TLS does not allow (a client's close_notify says "no more from
me", RFC 8446 6.1, and `docker run -i` needs the answer that follows).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 << 10
_HANDSHAKE = 10.0  # seconds a client has for it
log = logging.getLogger("sampan.api")


class Front:
    """Accepts on `listener` until `close`; `factory` makes the protocol that serves one client."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        factory: Callable[[], asyncio.BaseProtocol],
    ) -> None:
        self._listener, self._context, self._factory = listener, context, factory
        self._listener.setblocking(False)
        self._clients: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        tasks = [self._accepting, *self._clients]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # too many descriptors, or the client has gone already
                log.warning("accept: %s", error)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._serve(sock))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        client = Client(sock, self._context)
        with sock:
            try:
                async with asyncio.timeout(_HANDSHAKE):
                    await client.handshake()
            except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
                log.info("a client's TLS handshake failed: %s", error)
                return
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            with ours:
                await asyncio.get_running_loop().connect_accepted_socket(self._factory, theirs)
                await client.relay(ours)


class Client:
    """The TLS state machine of one connection (ssl.SSLObject over memory)."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._flushing = asyncio.Lock()

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._receive():
                    raise ConnectionResetError("the client went away") from None
            except ssl.SSLError:
                await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return

    async def relay(self, plain: socket.socket) -> None:
        """Until the API has closed its side."""
        inwards = asyncio.create_task(self._inwards(plain))
        try:
            await self._outwards(plain)
        except OSError:
            pass  # the client went away
        finally:
            inwards.cancel()
            await asyncio.gather(inwards, return_exceptions=True)

    async def _inwards(self, plain: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await self._read():
                await loop.sock_sendall(plain, data)
        except OSError:
            pass  # broken or closed: for the API that is the end of what the client says
        plain.shutdown(socket.SHUT_WR)

    async def _outwards(self, plain: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(plain, CHUNK):
            self._tls.write(data)
            await self._flush()
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the client's own close_notify may still be on its way
        await self._flush()

    async def _read(self) -> bytes:
        """Decrypted bytes; empty after the client's close_notify, or its end."""
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._receive():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    async def _receive(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self._sock, CHUNK)
        self._in.write(data)
        return bool(data)

    async def _flush(self) -> None:
        async with self._flushing:
            if self._out.pending:
                await asyncio.get_running_loop().sock_sendall(self._sock, self._out.read())
