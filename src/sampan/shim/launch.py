"""From a `start` request to a running PID 1, with the engine on the other end of the connection.

    created (+ network namespace) → … go … → started

Either a process comes out that runs, or an exception and nothing is left: no process, no cgroup,
no descriptor. While PID 1 prepares its rootfs the engine sets up the network; the first of both to
fail ends the attempt, and so does the engine's connection when it closes before "go".
"""

from __future__ import annotations

import os
import select

from sampan.kit import errors
from sampan.linux import unix
from sampan.runtime import create
from sampan.shim import protocol, stdio
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.shim.protocol import Start


class EngineGone(errors.Unavailable):
    """It closed the connection before the network was ready."""


def container(connection: socket.socket, request: Start) -> tuple[create.Created, stdio.Streams]:
    """Create, tell the engine, wait for it, start."""
    config = oci_runtime.Config.parse(request.config)
    streams = stdio.Streams(tty=request.tty, stdin=request.stdin)
    try:
        process = create.create(config, _options(request, streams))
        try:
            streams.forked()
            if request.network:
                _tell_created(connection, process.pid)
            _wait(connection, process, needs_go=request.network)
            streams.ready(request.size)
            process.start()
        except BaseException:
            process.abort()
            raise
    except BaseException:
        streams.close()
        raise
    return process, streams


def _options(request: Start, streams: stdio.Streams) -> create.Options:
    return create.Options(
        container_id=request.id,
        bundle=request.bundle,
        stdio=streams.theirs,
        console=streams.console_socket,
        rootfs=tuple(oci_runtime.Mount.parse(mount) for mount in request.rootfs),
        cgroup=request.cgroup,
        init=request.init,
    )


def _tell_created(connection: socket.socket, pid: int) -> None:
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unix.send(connection, protocol.created(pid), [namespace])
    except OSError as gone:
        raise EngineGone("the engine went away while the container was created") from gone
    finally:
        os.close(namespace)


def _wait(connection: socket.socket, process: create.Created, *, needs_go: bool) -> None:
    """Until PID 1 is ready, and the engine too if it has something to do."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(connection, select.POLLIN)
    ready, go = False, not needs_go
    while not (ready and go):
        for fd, _ in poll.poll():
            if fd == process.fileno():
                process.wait_ready()
                ready = True
                poll.unregister(process)
            else:
                _receive_go(connection)
                go = True


def _receive_go(connection: socket.socket) -> None:
    try:
        message, _ = unix.receive(connection)
    except OSError as gone:
        raise EngineGone(f"the engine went away before the network was ready: {gone}") from gone
    if message is None:
        raise EngineGone("the engine went away before the network was ready")
    if message != protocol.go():
        raise errors.InvalidArgument(f"expected go, the engine said {message.get('op')!r}")
