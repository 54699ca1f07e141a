"""The process that answers at 127.0.0.11 of every container; one an installation has, if needed.

Forked from the spawner like a monitor, so it outlives the engine as the containers do, and costs as
little memory. The engine tells it what has changed, over one connection to `run/resolver.sock`:

    hello()                          → {version, containers: [ids served]}
    update(containers, networks)     → ok       views and hosts that are new; null takes one away.
                                       With it travel three descriptors for each id in `sockets`:
                                       UDP, TCP, and a pidfd of the container's PID 1
    retire()                         → ok, and the end

A message is applied whole. When a container dies while no engine runs its pidfd says so, and its
sockets are closed, because they keep its network namespace alive. When the last one is gone the
resolver ends; its socket disappears before its connections do.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import os

from sampan.kit import errors
from sampan.linux import unix
from sampan.network import dns_zone
from sampan.shim import protocol, title
from sampan.shim.forward import Forwarder
from sampan.shim.loop import IN, Loop
from sampan.shim.name_server import NameServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.shim.protocol import Message

_PATIENCE = 10.0  # seconds an engine has to finish a message it began


def run(connection: socket.socket, path: str, version: str) -> None:
    """In a fresh child of the spawner: listen at `path`, say so, serve until nobody needs it."""
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    os.setsid()
    title.set("sampan-resolver")
    gc.enable()
    resolver = Resolver(path, version)
    unix.send(connection, protocol.ok())
    connection.close()
    resolver.run()


class Resolver:
    def __init__(self, path: str, version: str, forwarder: Forwarder | None = None) -> None:
        self._path, self._version = path, version
        self._loop = forwarder.loop if forwarder else Loop()
        self._forwarder = forwarder or Forwarder(self._loop)
        self._zones: dict[str, dns_zone.Zone] = {}
        self._servers: dict[str, NameServer] = {}
        self._pidfds: dict[str, int] = {}
        self._listener = unix.bind(path)
        self._loop.watch(self._listener.fileno(), IN, self._on_engine)

    def run(self) -> None:
        self._loop.run()

    def _on_engine(self, _events: int) -> None:
        engine, _ = self._listener.accept()
        engine.settimeout(_PATIENCE)
        self._loop.watch(engine.fileno(), IN, lambda _: self._hear(engine))

    def _hear(self, engine: socket.socket) -> None:
        try:
            message, fds = unix.receive(engine)
            if message is not None:
                unix.send(engine, self._do(message, fds))
                return
        except OSError:
            pass
        self._loop.forget(engine.fileno())
        engine.close()

    def _do(self, message: Message, fds: list[int]) -> Message:
        op = message.get("op")
        if op == "hello":
            return protocol.resolver_answer(self._version, list(self._servers))
        if op == "update":
            self._update(message, fds)
            return protocol.ok()
        if op == "retire":
            self._end()
            return protocol.ok()
        return protocol.error(errors.InvalidArgument(f"a resolver knows no request {op!r}"))

    def _update(self, message: Message, fds: list[int]) -> None:
        for index, container in enumerate(message["sockets"]):
            self._open(container, *fds[3 * index : 3 * index + 3])
        for identity, hosts in message["networks"].items():
            zone = self._zones.setdefault(identity, dns_zone.Zone())
            for container, host in hosts.items():
                zone.put(container, dns_zone.parse_host(host) if host else None)
        for container, view in message["containers"].items():
            if view is None:
                self._close(container)
            elif container in self._servers:
                self._servers[container].view = dns_zone.parse_view(view)
        self._settle()

    def _open(self, container: str, udp: int, tcp: int, pidfd: int) -> None:
        self._close(container)
        self._servers[container] = NameServer(self._loop, self._forwarder, self._zones, udp, tcp)
        self._pidfds[container] = pidfd
        self._loop.watch(pidfd, IN, lambda _: self._died(container))

    def _died(self, container: str) -> None:
        self._close(container)
        self._settle()

    def _close(self, container: str) -> None:
        """It is not served any more, and nobody finds it."""
        for zone in self._zones.values():
            zone.put(container, None)
        if server := self._servers.pop(container, None):
            server.close()
            pidfd = self._pidfds.pop(container)
            self._loop.forget(pidfd)
            os.close(pidfd)

    def _settle(self) -> None:
        """After a change: no stale answers, no zone that nobody asks about, no idle process."""
        seen = {identity for s in self._servers.values() for identity, _ in s.view.networks}
        for identity in self._zones.keys() - seen:
            del self._zones[identity]
        for server in self._servers.values():
            server.changed()
        if not self._servers:
            self._end()

    def _end(self) -> None:
        if self._listener.fileno() >= 0:
            os.unlink(self._path)
            self._loop.forget(self._listener.fileno())
            self._listener.close()
        self._loop.stop()
