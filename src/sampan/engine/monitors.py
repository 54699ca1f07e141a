"""The engine's side of the wire to spawner and monitors (`shim.protocol` holds the messages).

    connection = await open(paths.spawner_socket)
    await connection.send(message, fds)
    message, fds = await connection.receive()

A message is read whole or not at all, so a cancelled `receive` loses nothing.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import unix
from sampan.shim import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container

    Message = dict[str, Any]

_PATIENCE = 10.0  # seconds for a monitor to leave nothing of a start
_SPACE = socket.CMSG_SPACE(16 * 4)


class Client(Record):
    """Somebody attached: the socket, and what it wants."""

    socket: socket.socket
    attach: protocol.Attach


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._messages: list[Any] = []
        self._decoder = unix.Decoder()

    async def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        data = unix.encode(message)
        for part, some in unix.pieces(data, fds):
            try:
                sent = self._socket.sendmsg([part], unix.rights(some), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                raise errors.Unavailable("the monitor does not read what it is sent") from None
            except OSError as error:
                raise errors.Unavailable("the monitor went away") from error
            if sent < len(part):
                await asyncio.get_running_loop().sock_sendall(self._socket, part[sent:])

    async def receive(self) -> tuple[Message | None, list[int]]:
        """The next message and the descriptors that came so far; `(None, [])` at the end."""
        while not self._messages:
            data = self._read()
            if data is None:
                await self._readable()
            elif not data:
                return None, []
            else:
                self._messages += self._decoder.feed(data)
        fds, self._fds = self._fds, []
        return self._messages.pop(0), fds

    def _read(self) -> bytes | None:
        """What is there now: None for nothing yet, empty at the end."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(1 << 16, _SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        for level, kind, rights in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(rights[: len(rights) - len(rights) % received.itemsize])
                self._fds += received
        return data

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._socket, _resolve, ready)
        try:
            await ready
        finally:
            if self._socket.fileno() >= 0:
                loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close it, also under somebody who receives: that one sees the end."""
        if self._socket.fileno() >= 0:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    async def finish(self) -> None:
        """Say that nothing more comes, and wait until the other side has undone what it began."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has gone
        try:
            async with asyncio.timeout(_PATIENCE):
                message: Message | None = {}
                while message is not None:
                    message, fds = await self.receive()
                    for fd in fds:
                        os.close(fd)
        except TimeoutError:
            pass  # it is not to hold up whoever starts containers
        finally:
            self.detach()

    def detach(self) -> None:
        """Close the descriptor itself; nobody may be receiving."""
        self.close()
        self._socket.close()


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def open(path: str) -> Connection:
    """Connect; Unavailable where nobody listens."""
    try:
        sock = unix.connect(path)
    except OSError as error:
        raise errors.Unavailable(f"nobody answers at {path}") from error
    sock.setblocking(False)
    return Connection(sock)


async def call(container: Container, verb: str, argument: object = ()) -> None:
    """Have the container's other runtime do it; Unavailable when it has just ended."""
    path = container.engine.paths.monitor_socket(container.id)
    await ask(path, protocol.call(verb, argument))


async def ask(path: str, message: Message, fds: Sequence[int] = ()) -> Message:
    """One request, one answer; a failure comes out as the error it stands for."""
    connection = await open(path)
    try:
        await connection.send(message, fds)
        answer, received = await connection.receive()
        for fd in received:
            os.close(fd)
    finally:
        connection.detach()
    if failure := protocol.failure(answer):
        raise failure
    assert answer is not None
    return answer
