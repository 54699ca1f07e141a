"""An agent's socket for one RUN: what connects to it speaks with the agent of the provider.

The step's user owns the socket, which the agent's own need not allow. Threads carry the bytes; all
of it ends with the step.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from sampan.build.providers import Agents

_CHUNK = 1 << 16


class Relay:
    def __init__(
        self, agents: Agents, ident: str, path: str, *, owner: tuple[int, int], mode: int
    ) -> None:
        self._agents, self._ident = agents, ident
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        os.chmod(path, mode)
        os.chown(path, *owner)
        self._listener.listen(16)
        self._begin(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listener, *self._open):
            sock.close()

    def _begin(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the step has ended
            try:
                agent = self._agents.get(self._ident)
            except Exception:  # the agent is gone: the step sees a closed connection
                client.close()
                continue
            self._open += [client, agent]
            self._begin(_carry, client, agent)
            self._begin(_carry, agent, client)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
