"""From a `start` request to a running PID 1, no process in between; `launch` is the other way.

Most containers ask for nothing that must be done from outside (`eligible`). Their PID 1 is cloned
as soon as the first bytes of the request are there, reads the rest itself, and becomes the
container (`runtime.become`). It passes on to the monitor, its parent, what that needs: the request,
the streams, what execs will ask for. On its failure the monitor leaves nothing and tells the
engine.
"""

from __future__ import annotations

import os
import socket

from sampan.kit import errors
from sampan.linux import cgroup as cgroups
from sampan.linux import process, unix
from sampan.linux.process import PR
from sampan.runtime import become
from sampan.runtime import cgroups as runtime_cgroups
from sampan.runtime import channel as channels
from sampan.runtime import plan as plans
from sampan.shim import helper, parsing, protocol, ready, stdio, title
from sampan.shim import loop as loops
from sampan.shim.ready import Ready
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sampan.runtime.channel import Channel
    from sampan.shim.protocol import Message, Start

_START = b'{"op":"start",'  # how such a message begins, `protocol.start`
_DIRECT = _START + b'"direct":"'
_PEEK = 4200  # bytes: PATH_MAX and some


def cgroup(connection: socket.socket) -> str | None:
    """Where to clone PID 1 of what is asked for, "" where not like this; None: it is no start.

    Nothing is read, for whoever serves it does that.
    """
    head = connection.recv(_PEEK, socket.MSG_PEEK)[4:]
    if not head.startswith(_START):
        return None
    path, quote, _ = head.removeprefix(_DIRECT).partition(b'"')
    return path.decode() if quote and head.startswith(_DIRECT) else ""


def rehearse() -> None:
    """What a monitor does until PID 1 is cloned, but for that."""
    manager = cgroups.manager("/rehearsal")
    runtime_cgroups.check_unused(manager)
    for end in (*socket.socketpair(), *channels.pair()):
        end.close()
    process.prctl(PR.GET_DUMPABLE)


class Direct:
    """An attempt, in the monitor; the same methods as `launch.Launch`."""

    def __init__(self, connection: socket.socket, path: str) -> None:
        self._connection = connection
        self._channel, theirs = socket.socketpair()
        self._manager = cgroups.manager(path)
        self._created = become.begin(self._manager, lambda line: _run(connection, theirs, line))
        theirs.close()

    def request(self) -> Start | None:
        message, self._fds = self._receive()
        if message is None or "event" in message:
            self._fail(message or errors.Unavailable("the container's process ended too early"))
            return None
        self._message = message
        return parsing.start({**message, "config": {}}, self._fds)

    def ready(self, request: Start) -> Ready | None:
        streams = stdio.unpack(self._message["streams"], self._fds)
        try:
            ready.wait(self._connection, self._created, needs_go=request.network)
            streams.ready(request.size)
        except (errors.SampanError, OSError) as failure:
            said = None
            if loops.is_readable(self._channel.fileno()):
                said, _ = self._receive()
            self._fail(said or failure)
            return None
        self._channel.close()
        saved = self._fds[self._message["saved"]]
        return Ready(request, self._created, self._manager, streams, saved)

    def cancel(self) -> None:
        """Returns when nothing is left of it."""
        self._channel.close()
        self._created.abort()

    def _receive(self) -> tuple[Message | None, list[int]]:
        try:
            return unix.receive(self._channel)
        except ConnectionError:
            return None, []

    def _fail(self, why: Message | Exception) -> None:
        self.cancel()
        try:
            unix.send(self._connection, why if isinstance(why, dict) else protocol.error(why))
        except OSError:
            pass  # the engine is gone, and so is the container


def _run(connection: socket.socket, monitor: socket.socket, channel: Channel) -> NoReturn:
    helper.leave_by(lambda: _become(connection, monitor, channel))


def _become(connection: socket.socket, monitor: socket.socket, channel: Channel) -> None:
    try:
        message, fds = ready.receive_start(connection)
        request = parsing.start(message, fds)
        config = oci_runtime.parse(request.config)
        streams = stdio.Streams(tty=request.tty, stdin=request.stdin)
        options = ready.options(request, streams)
        if request.init:
            title.set("sampan-init")  # what `top` shows
        pid = int(os.readlink("/proc/self"))  # as the host counts
        state = {**plans.state_document(config, options), "pid": pid}
        fds.append(ready.saved(request.config, state))
        more = {"saved": len(fds) - 1, "streams": streams.pack(fds)}
        ready.tell(monitor, {**ready.to_monitor(message), **more}, fds)

        def tell() -> None:
            if request.network:
                ready.tell_created(connection, pid, network="self")

        become.become(config, options, channel, tell)
    except (ready.MonitorGone, ready.EngineGone):
        pass
    except Exception as failure:
        unix.send(monitor, protocol.error(failure))
        if not isinstance(failure, (errors.SampanError, OSError)):
            raise  # a mistake of ours: its traceback belongs in the spawner's log
