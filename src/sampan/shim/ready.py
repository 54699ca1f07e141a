"""What the two ways to a container have in common (`launch`, `direct`).

How the monitor gets it, how it waits for it and for the engine, what travels between the processes.
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
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.created import Created
    from sampan.shim import oci_program, restored
    from sampan.shim.protocol import Message, Start

    Process = Created | oci_program.Process | restored.Process

_SIGKILL = 9
_TO_MONITOR = (
    *("id", "bundle", "run", "runtime", "restore", "network", "size"),
    *("stdin_once", "log", "attach", "ports"),
)


class EngineGone(errors.Unavailable):
    """It closed the connection before the network was ready."""


class MonitorGone(errors.Unavailable):
    """It closed the channel: it has failed, and says so itself, or was killed."""


class Ready:
    """A container that waits for its start, as the monitor has it."""

    def __init__(
        self,
        request: Start,
        process: Process,
        manager: Manager,
        streams: stdio.Streams,
        config: int,
        *,
        helper: int = 0,
    ) -> None:
        self.request, self.process, self.streams = request, process, streams
        self.cgroup = manager
        self.config = config  # a memfd with what execs need: config.json's linux, and the state
        self._helper = helper  # whose end makes it a child of ours

    def adopt(self) -> None:
        """Be PID 1's parent; needed for start and abort. Where it was not born as our child it
        becomes so with the helper's end."""
        if self._helper:
            os.waitpid(self._helper, 0)
            self._helper = 0


def receive_start(connection: socket.socket) -> tuple[Message, list[int]]:
    """The request, after the message that announced it, however long the engine needs to make it;
    EngineGone where none comes."""
    if unix.receive(connection)[0] is not None:
        patience = connection.gettimeout()
        connection.settimeout(None)
        message, fds = unix.receive(connection)
        connection.settimeout(patience)
        if message is not None:
            return message, fds
    raise EngineGone("the engine went away before it said what to start")


def to_monitor(message: Message) -> Message:
    """Of a start request, what a monitor needs."""
    return {name: message[name] for name in _TO_MONITOR if name in message}


def options(request: Start, streams: stdio.Streams) -> create.Options:
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


def tell(monitor: socket.socket, message: Message, fds: list[int]) -> None:
    try:
        unix.send(monitor, message, fds)
    except OSError as gone:
        raise MonitorGone("the monitor of the container went away") from gone


def saved(config: Message, state: dict[str, Any]) -> int:
    import json

    fd = os.memfd_create("config.json", os.MFD_CLOEXEC)
    os.write(fd, json.dumps({"linux": config.get("linux") or {}, "state": state}).encode())
    return fd


def tell_created(connection: socket.socket, pid: int, *, network: int | str = "") -> None:
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


def wait(
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
                receive_go(connection)
                needs_go = False
            poll.unregister(fd)


def receive_go(connection: socket.socket) -> None:
    try:
        message, _ = unix.receive(connection)
    except OSError as gone:
        raise EngineGone(f"the engine went away before the network was ready: {gone}") from gone
    if message is None:
        raise EngineGone("the engine went away before the network was ready")
    if message != protocol.go():
        raise errors.InvalidArgument(f"expected go, the engine said {message.get('op')!r}")
