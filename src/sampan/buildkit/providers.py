"""Secrets and ssh agents of the client, for the build's threads (`build.providers`).

Sources: moby/buildkit session/secrets, session/sshforward.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, TypeVar

from grpclib.const import Status

from sampan.build.providers import NoSuchAgent, NoSuchSecret
from sampan.buildkit import grpc, messages

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sampan.buildkit.sessions import Session

T = TypeVar("T")

_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
_CHECK, _FORWARD = "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"
_SSH_ID = "buildkit.ssh.id"
_CHUNK = 32 << 10


class _Asking:
    """Made on the event loop, asked from threads."""

    def __init__(self, session: Session) -> None:
        self._session, self._loop = session, asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class Secrets(_Asking):
    def get(self, ident: str) -> bytes:
        if not self._session.offers(_SECRET):
            raise NoSuchSecret(ident)
        try:
            answer = self._await(
                self._session.channel.ask(_SECRET, messages.SECRET, messages.DATA, {"ID": ident})
            )
        except grpc.Refused as error:
            if error.status in (Status.NOT_FOUND, Status.UNIMPLEMENTED):
                raise NoSuchSecret(ident) from None
            raise
        data: bytes = answer["data"]
        return data


class Agents(_Asking):
    def get(self, ident: str) -> socket.socket:
        if not self._session.offers(_FORWARD):
            raise NoSuchAgent(ident)
        return self._await(self._connected(ident))

    async def _connected(self, ident: str) -> socket.socket:
        try:
            await self._session.channel.ask(_CHECK, messages.AGENT, messages.EMPTY, {"ID": ident})
        except grpc.Refused:
            raise NoSuchAgent(ident) from None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        task = asyncio.create_task(self._carry(ident, ours))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return theirs

    async def _carry(self, ident: str, sock: socket.socket) -> None:
        """Until either side has said all it had to say."""
        gone = (grpc.Refused, grpc.SessionEnded, ConnectionError)
        with sock, contextlib.suppress(*gone), grpc.translated():
            async with self._session.channel.open(
                _FORWARD, messages.DATA, messages.DATA, [(_SSH_ID, ident)]
            ) as stream:
                await stream.send_request()
                await _exchange(stream, sock)


async def _exchange(stream: Any, sock: socket.socket) -> None:
    answering = asyncio.create_task(_answers(stream, sock))
    try:
        while data := await asyncio.get_running_loop().sock_recv(sock, _CHUNK):
            await stream.send_message({"data": data})
        await stream.end()
        await answering
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _answers(stream: Any, sock: socket.socket) -> None:
    while (message := await stream.recv_message()) is not None:
        await asyncio.get_running_loop().sock_sendall(sock, message["data"])
    sock.shutdown(socket.SHUT_WR)
