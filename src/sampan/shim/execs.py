"""Further processes in a running container: docker exec.

A helper joins the container and starts the process; the monitor goes on meanwhile, and takes over
when it runs. Output goes to the one client (or nowhere), never to the log.
"""

from __future__ import annotations

import json
import os

from sampan.kit import clock, errors
from sampan.linux import unix
from sampan.runtime import exec as runtime_exec
from sampan.shim import helper, oci_program, protocol, stdio
from sampan.shim import loop as loops
from sampan.shim.session import Session
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sampan.shim.protocol import Exec, Message
    from sampan.shim.ready import Ready


class ExecNotFound(errors.NotFound): ...


class Execs:
    """`announce(message, remember=True)` gets detach and exec_exit."""

    def __init__(self, loop: loops.Loop, announce: Callable[..., None]) -> None:
        self._loop, self._announce = loop, announce
        self._container: Ready
        self._running: dict[str, tuple[int, Session]] = {}  # exec id → PID, streams
        self._starting: dict[str, tuple[socket.socket, Exec]] = {}  # → its helper

    def use(self, container: Ready) -> None:
        """Before the first one starts."""
        self._container = container

    def pids(self) -> dict[str, int]:
        return {exec_id: pid for exec_id, (pid, _) in self._running.items()}

    def start(self, connection: socket.socket, request: Exec) -> None:
        """Owns the connection (which gets the answer) and the client's descriptor."""
        if request.exec_id in self._running or request.exec_id in self._starting:
            raise errors.AlreadyExists(f"exec {request.exec_id} runs already")
        kept = (connection.fileno(), self._container.config)
        _, channel = helper.fork(
            lambda theirs: _help(connection, theirs, request, self._container), keep=kept
        )
        connection.close()
        self._starting[request.exec_id] = (channel, request)
        self._loop.watch(channel.fileno(), loops.IN, lambda _: self._taken_over(request.exec_id))

    def resize(self, exec_id: str, rows: int, columns: int) -> bool:
        found = self._running.get(exec_id)
        if found is None:
            raise ExecNotFound(f"no exec {exec_id} runs in this container")
        return found[1].resize(rows, columns)

    def reaped(self, pid: int, exit_code: int) -> None:
        """A child of ours ended; if it was an exec, deliver its rest and say so."""
        for exec_id in list(self._starting):
            if loops.is_readable(self._starting[exec_id][0].fileno()):
                self._taken_over(exec_id)  # its helper spoke before it ended
        for exec_id, (running, session) in list(self._running.items()):
            if running == pid:
                del self._running[exec_id]
                self._announce(protocol.exec_exit(exec_id, exit_code), remember=True)
                session.drain(lambda: None)

    def _taken_over(self, exec_id: str) -> None:
        """The helper handed over a process that runs, or ended because there is none."""
        if exec_id not in self._starting:
            return
        channel, request = self._starting.pop(exec_id)
        self._loop.forget(channel.fileno())
        try:
            message, fds = unix.receive(channel)
        except OSError:
            message, fds = None, []
        channel.close()
        if message is None:
            if request.attach is not None:
                os.close(request.attach.fd)
            return
        session = Session(
            self._loop,
            stdin_once=True,
            on_detach=lambda: self._announce(protocol.detach(exec_id)),
        )
        session.use(stdio.unpack(message["streams"], fds))
        self._running[exec_id] = (message["pid"], session)
        if request.attach is not None:
            session.attach(request.attach)


def _help(
    connection: socket.socket, monitor: socket.socket, request: Exec, container: Ready
) -> None:
    streams = stdio.Streams(tty=request.tty, stdin=request.stdin, output=request.attach is not None)
    try:
        if container.request.runtime:
            pid = _by_program(monitor, request, container, streams)
        else:
            pid = _by_us(monitor, request, container, streams)
        unix.send(connection, protocol.started(pid, clock.now()))
    except Exception as failure:
        unix.send(connection, protocol.error(failure))
        if not isinstance(failure, (errors.SampanError, OSError)):
            raise  # a mistake of ours: its traceback belongs in the spawner's log


def _by_us(monitor: socket.socket, request: Exec, container: Ready, streams: stdio.Streams) -> int:
    process = runtime_exec.exec_process(
        _target(container),
        oci_runtime.parse_as(oci_runtime.Process, request.process, "process"),
        stdio=streams.theirs,
        console=streams.console_socket,
    )
    try:
        streams.forked()
        process.wait_ready()
        streams.ready(request.size)
        process.start()
        _hand_over(monitor, process.pid, streams)
    except BaseException:
        process.abort()
        raise
    return process.pid


def _by_program(
    monitor: socket.socket, request: Exec, container: Ready, streams: stdio.Streams
) -> int:
    handle = oci_program.Handle.of(container.request)
    pid = oci_program.execute(handle, request, streams)
    streams.forked()
    streams.ready(request.size)
    _hand_over(monitor, pid, streams)
    return pid


def _hand_over(monitor: socket.socket, pid: int, streams: stdio.Streams) -> None:
    fds: list[int] = []
    answer: Message = {"pid": pid, "streams": streams.pack(fds)}
    unix.send(monitor, answer, fds)


def _target(container: Ready) -> runtime_exec.Target:
    size = os.fstat(container.config).st_size
    saved = json.loads(os.pread(container.config, size, 0))
    linux = oci_runtime.parse_as(oci_runtime.Linux, saved["linux"], "linux")
    return runtime_exec.Target(
        pid=container.process.pid,
        manager=container.cgroup,
        seccomp=linux.seccomp,
        linux=linux,
        state={**saved["state"], "status": "running"},
    )
