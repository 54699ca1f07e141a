"""The engine's side of the page server. Blocking; from any thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.linux import unix

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from sampan.kit.paths import Paths
    from sampan.registry.auth import Credentials
    from sampan.registry.hosts import Config

_PATIENCE = 30.0  # seconds for an answer
_TRIES = 3  # the server may be about to end


class Pages:
    def __init__(self, paths: Paths, registries: Config) -> None:
        self._paths, self._registries = paths, registries
        self._held: dict[str, int] = {}  # by place: what keeps readers waiting between two servers
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"{self._paths.run}/pages.sock"

    @property
    def serving(self) -> bool:
        """Whether there may be lazy layers."""
        return bool(self._held)

    def device(self, place: str, credentials: Credentials | None = None) -> str:
        """The block device that shows the lazy layer in a directory; a server is started if none
        runs. Raises Unavailable."""
        known = self._registries
        message = {
            "op": "serve",
            "place": place,
            "root": self._paths.root,
            "credentials": vars(credentials) if credentials else None,
            "registries": {name: getattr(known, name) for name in known._fields},
        }
        with self._lock:
            answer, fds = self._ask(message, [self._held[place]] if place in self._held else [])
            if "error" in answer:
                raise errors.Unavailable(f"a layer that is not whole yet: {answer['error']}")
            if (old := self._held.get(place)) is not None:
                os.close(old)
            (self._held[place],) = fds
        return str(answer["device"])

    def let_go(self) -> None:
        """Readers do not wait for another server any more: without one they get I/O errors."""
        with self._lock:
            for fd in self._held.values():
                os.close(fd)
            self._held.clear()

    def stop(self) -> None:
        """End it, if one runs: readers of what is not whole get I/O errors."""
        self.let_go()
        with contextlib.suppress(OSError), unix.connect(self.address) as sock:
            sock.settimeout(_PATIENCE)
            unix.send(sock, {"op": "stop"})
            unix.receive(sock)

    def _ask(self, message: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        for _ in range(_TRIES):
            try:
                with self._connected() as sock:
                    unix.send(sock, message, fds)
                    answer, received = unix.receive(sock)
            except OSError:
                continue
            if answer is not None:
                return answer, received
        raise errors.Unavailable("the page server does not answer")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(f"{self._paths.run}/pages.lock", flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                sock = unix.connect(self.address)
            except (FileNotFoundError, ConnectionRefusedError):
                self._start()
                sock = unix.connect(self.address)
        finally:
            os.close(lock)
        with sock:
            sock.settimeout(_PATIENCE)
            yield sock

    def _start(self) -> None:
        """It leaves us by a fork of its own when it listens; what it logs goes where we log."""
        paths = [path for path in sys.path if path]
        code = (
            f"import sys; sys.path[:] = {paths!r};"
            f" from sampan.engine.pages.server import main; main({self.address!r})"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        if done.returncode:
            raise errors.Unavailable(f"the page server did not start (exit {done.returncode})")
