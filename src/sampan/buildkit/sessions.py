"""The clients that may be called: each came with `POST /session`, and is a gRPC server itself.

    session = await sessions.get(id)        waits a moment: a build may be asked for first
    await session.channel.ask(…)
    session.offers("/moby.filesync.v1.Auth/Credentials")

A session lives as long as its connection. Source: moby/buildkit session/manager.go, session.go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.buildkit import grpc
from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

PREFIX = "X-Docker-Expose-Session-"
METHOD = f"{PREFIX}Grpc-Method"  # once for each that the client answers
_PATIENCE = 5.0  # seconds; the two connections of one client come at the same time


class NoSuchSession(errors.NotFound):
    def __init__(self, session_id: str) -> None:
        super().__init__(f"no active session for {session_id}")


class Hello(Record):
    """What a client says of itself in its request's head."""

    id: str
    shared_key: str = ""  # of what it has on disk, the same from build to build
    methods: frozenset[str] = frozenset()


def hello(headers: Mapping[str, str], methods: list[str]) -> Hello:
    said = {name.lower(): value for name, value in headers.items()}
    session_id = said.get(PREFIX.lower() + "uuid", "")
    if not session_id:
        raise errors.InvalidArgument(f"a session needs the header {PREFIX}Uuid")
    return Hello(
        id=session_id,
        shared_key=said.get(PREFIX.lower() + "sharedkey", ""),
        methods=frozenset(method.lower() for method in methods),
    )


class Session:
    def __init__(self, said: Hello, channel: grpc.Channel) -> None:
        self.id, self.shared_key = said.id, said.shared_key
        self.channel = channel
        self._methods = said.methods

    def offers(self, method: str) -> bool:
        return method.lower() in self._methods


class Sessions:
    def __init__(self) -> None:
        self._known: dict[str, Session] = {}
        self._changed = asyncio.Condition()

    def check(self, said: Hello) -> None:
        if said.id in self._known:
            raise errors.Conflict(f"session {said.id} already exists")

    async def hold(self, sock: socket.socket, pending: bytes, said: Hello) -> None:
        """Until the client goes away."""
        channel = await grpc.dial(sock, pending)
        session = Session(said, channel)
        self._known[said.id] = session
        try:
            async with self._changed:
                self._changed.notify_all()
            await channel.gone.wait()
        finally:
            del self._known[said.id]
            channel.close()

    async def get(self, session_id: str) -> Session:
        """Raises NoSuchSession."""
        try:
            async with asyncio.timeout(_PATIENCE), self._changed:
                await self._changed.wait_for(lambda: session_id in self._known)
        except TimeoutError:
            raise NoSuchSession(session_id) from None
        return self._known[session_id]
