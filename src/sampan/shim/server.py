"""The monitor's socket: one request a connection, from whichever engine is there now."""

from __future__ import annotations

import os

from sampan.kit import errors
from sampan.linux import unix
from sampan.shim import loop as loops
from sampan.shim import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sampan.shim.protocol import Message

    # The connection, the message, its descriptors (the handler's, if it does not raise) → the
    # answer, or None when the handler keeps the connection.
    Handler = Callable[[socket.socket, Message, list[int]], Message | None]

_PATIENCE = 5.0  # seconds for a request to come and for its answer to be taken


class Server:
    def __init__(self, loop: loops.Loop, path: str, handlers: dict[str, Handler]) -> None:
        self._loop, self._path, self._handlers = loop, path, handlers
        os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        self._listener = unix.bind(path)
        self._listener.setblocking(False)
        loop.watch(self._listener.fileno(), loops.IN, self._accept)

    def close(self) -> None:
        """Nothing is left at the path, nor its directory if that is empty."""
        if self._listener.fileno() < 0:
            return
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        try:
            os.unlink(self._path)
            os.rmdir(os.path.dirname(self._path))
        except OSError:
            pass

    def _accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.settimeout(_PATIENCE)
        self._loop.watch(sock.fileno(), loops.IN, lambda _events: self._request(sock))

    def _request(self, sock: socket.socket) -> None:
        self._loop.forget(sock.fileno())
        try:
            message, fds = unix.receive(sock)
            if message is not None and self._answer(sock, message, fds):
                return
        except (OSError, ValueError):
            pass  # whoever asked is gone, or talks something else
        sock.close()

    def _answer(self, sock: socket.socket, message: Message, fds: list[int]) -> bool:
        """True if the connection was kept."""
        try:
            handler = self._handlers.get(message.get("op", ""))
            if handler is None:
                raise errors.InvalidArgument(f"a monitor knows no request {message.get('op')!r}")
            answer = handler(sock, message, fds)
        except (errors.SampanError, OSError, ValueError, LookupError, TypeError) as failure:
            for fd in fds:
                os.close(fd)
            answer = protocol.error(failure)
        if answer is None:
            return True
        unix.send(sock, answer)
        return False
