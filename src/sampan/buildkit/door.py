"""Where the Docker API lets BuildKit's clients in: one `Door` for each engine.

door.of(engine).control(sock, pending)          `/grpc`: they call us
door.of(engine).session(sock, pending, hello)   `/session`: we call them
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sampan.buildkit import bridge, control, grpc, jobs, sessions, uploads

if TYPE_CHECKING:
    import socket

    from sampan.engine.engine import Engine


class Door:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions = sessions.Sessions()
        self.uploads = uploads.Uploads()
        self.jobs = jobs.Jobs(engine, self.sessions)
        self._services = [control.service(self.jobs), bridge.service(self.jobs)]

    def control(self, sock: socket.socket, pending: bytes) -> None:
        work = grpc.serve(sock, pending, self._services)
        self.engine.spawn(work, "a BuildKit client")

    def session(self, sock: socket.socket, pending: bytes, said: sessions.Hello) -> None:
        self.engine.spawn(self.sessions.hold(sock, pending, said), f"session {said.id}")


_doors: WeakKeyDictionary[Engine, Door] = WeakKeyDictionary()


def of(engine: Engine) -> Door:
    if engine not in _doors:
        _doors[engine] = Door(engine)
    return _doors[engine]
