"""From a `start` request to a running PID 1, with the engine on the other end of the connection.

    created (+ network namespace) → … go … → started

A helper of the monitor creates the container (`helper` says why), as a child of the monitor, whose
death PID 1 is not to survive (PR_SET_PDEATHSIG). It first passes on what of the request the monitor
needs, who makes log and socket meanwhile, then the container once that is ready to execute; the
monitor starts it. Either a process comes out that runs, or nothing is left: no
process, no cgroup, no descriptor. While PID 1 prepares its rootfs the engine sets up the network;
the first of both to fail ends the attempt, and so does the engine's connection when it closes
before "go".
"""

from __future__ import annotations

import os
import select
import socket

from sampan.kit import errors
from sampan.linux import cgroup, unix
from sampan.runtime import cgroups, channel, create
from sampan.runtime.created import Created
from sampan.shim import helper, oci_program, parsing, protocol, restored, standby, stdio, title
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.shim.protocol import Message, Start

_SIGKILL = 9
_PATIENCE = 30.0  # seconds that a connection may stay silent
_START = b'size{"op":"start",'  # how such a message begins, `protocol.Start.message`
_TO_MONITOR = (
    *("op", "id", "bundle", "run", "runtime", "restore"),
    *("stdin_once", "log", "attach", "ports"),
)


class EngineGone(errors.Unavailable):
    """It closed the connection before the network was ready."""


class MonitorGone(errors.Unavailable):
    """It closed the channel: it has failed, and says so itself, or was killed."""


class Launch:
    """An attempt, in the monitor: its helper waits for the request that comes over `line`, and
    works from then on at the same time as the caller."""

    def __init__(self, line: socket.socket) -> None:
        ours = os.getpid()
        self._pid, self._channel = helper.fork(lambda theirs: _stand_by(line, ours, theirs))

    def request(self) -> tuple[socket.socket | None, Start | None]:
        """The connection, and what of the request a monitor needs.

        No request: the connection, not yet read from, wants something else. No connection: there
        will be none, or the attempt failed and the engine has been told; nothing is left.
        """
        message, fds = self._receive()
        if message is None:
            return None, None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fds.pop())
        connection.settimeout(_PATIENCE)
        if message["op"] != "start":
            self.cancel()
            return connection, None
        return connection, parsing.start({**message, "config": {}}, fds)

    def ready(self, request: Start) -> Ready | None:
        """Waits for the container that waits for its start; None as above."""
        message, fds = self._receive()
        return Ready(request, message, fds, self._pid) if message else None

    def cancel(self) -> None:
        """Returns when nothing is left of it."""
        self._channel.close()
        os.waitpid(self._pid, 0)

    def _receive(self) -> tuple[Message | None, list[int]]:
        try:
            message, fds = unix.receive(self._channel)
        except ConnectionError:
            message, fds = None, []
        if message is None:
            self.cancel()
        return message, fds


class Ready:
    """A container that waits for its start, as the monitor gets it from the helper."""

    def __init__(self, request: Start, message: Message, fds: list[int], helper_pid: int) -> None:
        self.request = request
        self.cgroup = cgroup.manager(message["cgroup"])
        self.process: Created | oci_program.Process | restored.Process
        if request.restore:
            self.process = restored.Process(message["pid"], fds[0], self.cgroup)
        elif request.runtime:
            handle = oci_program.Handle.of(request)
            self.process = oci_program.Process(handle, message["pid"], fds[0], self.cgroup)
        else:
            line = channel.Channel(fds[1])
            self.process = Created(message["pid"], fds[0], line, self.cgroup)
        self.config = fds[2]  # a memfd with what execs need: config.json's linux, and the state
        self.streams = stdio.unpack(message["streams"], fds)
        self._helper = 0 if message["ours"] else helper_pid

    def adopt(self) -> None:
        """Be PID 1's parent; needed for start and abort. Where it was not born as our child it
        becomes so with the helper's end."""
        if self._helper:
            os.waitpid(self._helper, 0)
            self._helper = 0


def _stand_by(line: socket.socket, parent: int, monitor: socket.socket) -> None:
    connection = standby.wait(line, parent)
    if connection is None:
        return
    connection.settimeout(_PATIENCE)
    try:
        head = connection.recv(len(_START), socket.MSG_PEEK)
    except OSError:
        return  # nobody there, or nothing to say
    if head[4:] == _START[4:]:
        _help(connection, monitor)
    else:
        _tell(monitor, {"op": "other"}, [connection.fileno()])


def _help(connection: socket.socket, monitor: socket.socket) -> None:
    try:
        message, fds = unix.receive(connection)
        _prepare(connection, monitor, message, fds)
    except MonitorGone:
        pass
    except Exception as failure:
        try:
            unix.send(connection, protocol.error(failure))
        except OSError:
            pass  # the engine is gone, and so is the container
        if not isinstance(failure, (errors.SampanError, OSError)):
            raise  # a mistake of ours: its traceback belongs in the spawner's log


def _prepare(
    connection: socket.socket, monitor: socket.socket, message: Message, fds: list[int]
) -> None:
    request = parsing.start(message, fds)
    part = {name: message[name] for name in _TO_MONITOR if name in message}
    _tell(monitor, part, [*fds, connection.fileno()])
    config = oci_runtime.parse(request.config)
    streams = stdio.Streams(tty=request.tty, stdin=request.stdin)
    if request.restore:
        _restore(connection, monitor, request, streams)
        return
    if request.init:
        title.set("sampan-init")  # what `top` shows: the child keeps the name
    path = cgroups.path_of(config, request.id, request.cgroup)
    process: Created | oci_program.Process
    if request.runtime:
        process = oci_program.create(request, streams, cgroup.manager(path))
    else:
        process = create.create(config, _options(request, streams))
    try:
        streams.forked()
        if request.network:
            _tell_created(connection, process.pid)
        saved = _saved(request.config, process.state)  # while PID 1 is busy
        _wait(connection, process, needs_go=request.network)
        streams.ready(request.size)
        _hand_over(monitor, process, streams, path, saved)
    except BaseException:
        process.abort()
        raise


def _restore(
    connection: socket.socket,
    monitor: socket.socket,
    request: Start,
    streams: stdio.Streams,
) -> None:
    """The network comes before the processes: they go on at once."""
    config = restored.prepare(request, streams)
    if request.network:
        # The monitor stands for a PID 1 that is still to come: it lives as long as that.
        _tell_created(connection, os.getppid(), network="self")
        _receive_go(connection)
    path = cgroups.path_of(config, request.id, request.cgroup)
    process = restored.bring_back(request, config, streams, cgroup.manager(path))
    try:
        streams.forked()
        streams.ready(request.size)
        saved = _saved(request.config, process.state)
        _hand_over(monitor, process, streams, path, saved)
    except BaseException:
        process.abort()
        raise


def _options(request: Start, streams: stdio.Streams) -> create.Options:
    return create.Options(
        container_id=request.id,
        bundle=request.bundle,
        stdio=streams.theirs,
        console=streams.console_socket,
        rootfs=tuple(
            oci_runtime.parse_as(oci_runtime.Mount, {"destination": "/", **mount}, "rootfs")
            for mount in request.rootfs
        ),
        cgroup=request.cgroup,
        init=request.init,
        pdeathsig=_SIGKILL,
        for_parent=True,
    )


def _hand_over(
    monitor: socket.socket,
    process: Created | oci_program.Process | restored.Process,
    streams: stdio.Streams,
    cgroup_path: str,
    saved: int,
) -> None:
    fds = [process.pidfd, process.fileno(), saved]
    answer = {"cgroup": cgroup_path, "pid": process.pid, "ours": process.callers_parents}
    _tell(monitor, {**answer, "streams": streams.pack(fds)}, fds)


def _tell(monitor: socket.socket, message: Message, fds: list[int]) -> None:
    try:
        unix.send(monitor, message, fds)
    except OSError as gone:
        raise MonitorGone("the monitor of the container went away") from gone


def _saved(config: Message, state: dict[str, Any]) -> int:
    import json

    fd = os.memfd_create("config.json", os.MFD_CLOEXEC)
    os.write(fd, json.dumps({"linux": config.get("linux") or {}, "state": state}).encode())
    return fd


def _tell_created(connection: socket.socket, pid: int, *, network: int | str = "") -> None:
    """`network`: whose network namespace is the container's, where not PID 1's."""
    try:
        namespace = os.open(f"/proc/{network or pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return  # it has failed already; why, it says where it is waited for
    try:
        unix.send(connection, protocol.created(pid), [namespace])
    except OSError as gone:
        raise EngineGone("the engine went away while the container was created") from gone
    finally:
        os.close(namespace)


def _wait(
    connection: socket.socket, process: Created | oci_program.Process, *, needs_go: bool
) -> None:
    """Until PID 1 is ready, and the engine too if it has something to do."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    if needs_go:
        poll.register(connection, select.POLLIN)
    ready = False
    while needs_go or not ready:
        for fd, _ in poll.poll():
            if fd == process.fileno():
                process.wait_ready()
                ready = True
            else:
                _receive_go(connection)
                needs_go = False
            poll.unregister(fd)


def _receive_go(connection: socket.socket) -> None:
    try:
        message, _ = unix.receive(connection)
    except OSError as gone:
        raise EngineGone(f"the engine went away before the network was ready: {gone}") from gone
    if message is None:
        raise EngineGone("the engine went away before the network was ready")
    if message != protocol.go():
        raise errors.InvalidArgument(f"expected go, the engine said {message.get('op')!r}")
