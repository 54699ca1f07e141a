"""What a monitor does when it is asked to on its socket."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

from sampan.kit import errors
from sampan.shim import helper, oci_program, parsing, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from sampan.shim.monitor import Monitor
    from sampan.shim.protocol import Message
    from sampan.shim.server import Handler


class NotRunning(errors.Conflict): ...


def handlers(monitor: Monitor) -> dict[str, Handler]:
    """By the requests' names."""
    asked = _Requests(monitor)
    return {
        "subscribe": asked.subscribe,
        "attach": asked.attach,
        "exec": asked.exec,
        "resize": asked.resize,
        "kill": asked.kill,
        "call": asked.call,
        "close_stdin": asked.close_stdin,
    }


class _Requests:
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def subscribe(self, sock: socket.socket, _message: Message, _fds: list[int]) -> None:
        it = self._monitor
        state = protocol.state(it.process.pid, it.started_at, it.execs.pids())
        it.subscribers.add(sock, state)

    def attach(self, _sock: socket.socket, message: Message, fds: list[int]) -> Message:
        self._monitor.session.attach(parsing.attach(message, fds))
        return protocol.ok()

    def exec(self, sock: socket.socket, message: Message, fds: list[int]) -> None:
        if self._monitor.status is not None:
            raise NotRunning(f"container {self._monitor.id[:12]} is not running")
        self._monitor.execs.start(sock, parsing.exec(message, fds))

    def resize(self, _sock: socket.socket, message: Message, _fds: list[int]) -> Message:
        rows, columns, exec_id = message["rows"], message["columns"], message.get("exec_id")
        if exec_id:
            resized = self._monitor.execs.resize(exec_id, rows, columns)
        else:
            resized = self._monitor.session.resize(rows, columns)
        if not resized:
            raise errors.Conflict(f"{exec_id or self._monitor.id[:12]} has no terminal to resize")
        return protocol.ok()

    def kill(self, sock: socket.socket, message: Message, _fds: list[int]) -> Message | None:
        if self._monitor.program is not None and oci_program.is_alive(self._monitor.process.pidfd):
            self._delegate(sock, "kill", [str(message["signal"])])
            return None
        try:
            _signal.pidfd_send_signal(self._monitor.process.pidfd, message["signal"])
        except ProcessLookupError:
            raise NotRunning(f"container {self._monitor.id[:12]} is not running") from None
        return protocol.ok()

    def call(self, sock: socket.socket, message: Message, _fds: list[int]) -> None:
        if self._monitor.program is None or message["verb"] not in ("pause", "resume", "update"):
            raise errors.InvalidArgument(f"no other runtime is here to {message['verb']}")
        if self._monitor.status is not None:
            raise NotRunning(f"container {self._monitor.id[:12]} is not running")
        self._delegate(sock, message["verb"], message["argument"])

    def _delegate(self, sock: socket.socket, verb: str, argument: Any) -> None:
        """The container's runtime does it, in a helper that answers and owns the connection."""
        assert self._monitor.program is not None
        program, pidfd = self._monitor.program, self._monitor.process.pidfd
        _, channel = helper.fork(
            lambda _: oci_program.answer(sock, program, pidfd, verb, argument),
            keep=(sock.fileno(), pidfd),
        )
        channel.close()
        sock.close()

    def close_stdin(self, _sock: socket.socket, _message: Message, _fds: list[int]) -> Message:
        self._monitor.session.end_stdin()
        return protocol.ok()
