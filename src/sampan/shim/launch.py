"""From a `start` request to a running PID 1, with the engine on the other end of the connection.

    created (+ network namespace) → … go … → started

A helper of the monitor creates the container (`helper` says why), as a child of the monitor, whose
death PID 1 is not to survive (PR_SET_PDEATHSIG). It first passes on what of the request the monitor
needs, who makes log and socket meanwhile, then the container once that is ready to execute; the
monitor starts it. Either a process comes out that runs, or nothing is left: no
process, no cgroup, no descriptor. While PID 1 prepares its rootfs the engine sets up the network;
the first of both to fail ends the attempt, and so does the engine's connection when it closes
before "go". `direct` is the shorter way of most containers.
"""

from __future__ import annotations

import os

from sampan.kit import errors
from sampan.linux import cgroup, unix
from sampan.runtime import cgroups, channel, create
from sampan.runtime.created import Created
from sampan.shim import helper, oci_program, parsing, protocol, ready, restored, stdio, title
from sampan.shim.ready import Ready
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.shim.protocol import Message, Start
    from sampan.shim.ready import Process


class Launch:
    """An attempt, in the monitor: its helper works from now on, at the same time as the caller."""

    def __init__(self, connection: socket.socket) -> None:
        self._pid, self._channel = helper.fork(lambda theirs: _help(connection, theirs))

    def request(self) -> Start | None:
        """What of the request a monitor needs; None where the attempt failed: the engine has been
        told, and nothing is left."""
        message, fds = self._receive()
        return parsing.start({**message, "config": {}}, fds) if message else None

    def ready(self, request: Start) -> Ready | None:
        """Waits for the container that waits for its start; None as above."""
        message, fds = self._receive()
        return _received(request, message, fds, self._pid) if message else None

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


def _received(request: Start, message: Message, fds: list[int], helper_pid: int) -> Ready:
    manager = cgroup.manager(message["cgroup"])
    process: Process
    if request.restore:
        process = restored.Process(message["pid"], fds[0], manager)
    elif request.runtime:
        handle = oci_program.Handle.of(request)
        process = oci_program.Process(handle, message["pid"], fds[0], manager)
    else:
        process = Created(message["pid"], fds[0], channel.Channel(fds[1]), manager)
    streams = stdio.unpack(message["streams"], fds)
    return Ready(
        request, process, manager, streams, fds[2], helper=0 if message["ours"] else helper_pid
    )


def _help(connection: socket.socket, monitor: socket.socket) -> None:
    try:
        message, fds = ready.receive_start(connection)
        _prepare(connection, monitor, message, fds)
    except (ready.MonitorGone, ready.EngineGone):
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
    ready.tell(monitor, ready.to_monitor(message), fds)
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
        process = create.create(config, ready.options(request, streams))
    try:
        streams.forked()
        if request.network:
            ready.tell_created(connection, process.pid)
        saved = ready.saved(request.config, process.state)  # while PID 1 is busy
        ready.wait(connection, process, needs_go=request.network)
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
        ready.tell_created(connection, os.getppid(), network="self")
        ready.receive_go(connection)
    path = cgroups.path_of(config, request.id, request.cgroup)
    process = restored.bring_back(request, config, streams, cgroup.manager(path))
    try:
        streams.forked()
        streams.ready(request.size)
        saved = ready.saved(request.config, process.state)
        _hand_over(monitor, process, streams, path, saved)
    except BaseException:
        process.abort()
        raise


def _hand_over(
    monitor: socket.socket,
    process: Process,
    streams: stdio.Streams,
    cgroup_path: str,
    saved: int,
) -> None:
    fds = [process.pidfd, process.fileno(), saved]
    answer = {"cgroup": cgroup_path, "pid": process.pid, "ours": process.callers_parents}
    ready.tell(monitor, {**answer, "streams": streams.pack(fds)}, fds)
