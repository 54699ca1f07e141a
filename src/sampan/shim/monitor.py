"""The monitor: one process beside each container, its parent, which outlives the engine.

Forked from the spawner ahead of need (`standby`), it becomes subreaper, has the container created
(`direct` or `launch`), and then serves in one epoll loop: output to the log and to clients
(`session`), execs, requests on its socket (`server`, `requests`), events (`subscribers`),
connections that reached a published port's own socket (`relay`). When PID 1 ends it delivers what
is left, writes `exit.json`, removes the cgroup, announces the exit, and ends. PID 1 dies with it
(PR_SET_PDEATHSIG, set by the runtime).

Nothing is imported after the fork, and the memory of the spawner is shared: a monitor costs what it
writes to.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import ctypes
import gc
import os
import sys
from functools import partial

from sampan.kit import clock, errors
from sampan.linux import _libc, process, seccomp, unix
from sampan.linux.cgroup import base as cgroups
from sampan.shim import (
    direct,
    exit_record,
    launch,
    logs,
    oci_program,
    protocol,
    rehearsal,
    requests,
    standby,
    title,
)
from sampan.shim import loop as loops
from sampan.shim.execs import Execs
from sampan.shim.relay import Relay
from sampan.shim.server import Server
from sampan.shim.session import Session
from sampan.shim.subscribers import Subscribers
from sampan.spec import docker_defaults, docker_seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sampan.shim.protocol import Start
    from sampan.shim.ready import Ready

_PATIENCE = 30.0  # seconds that a connection may stay silent
_OOM_LOOKS, _OOM_PAUSE = 20, 0.05  # after a notification the counter is behind for a moment
_LAST_WORDS = 10.0  # seconds that clients and subscribers get to take the rest
_malloc_trim = _libc.function("malloc_trim", ctypes.c_size_t)


def prime() -> None:
    """In the spawner: what each child would otherwise do for itself."""
    rehearsal.rehearse()
    cgroups.prime()
    seccomp.compile(docker_seccomp.profile(docker_defaults.CAPABILITIES, os.uname().machine))


def run(line: socket.socket, otherwise: Callable[[socket.socket], None]) -> None:
    """In a fresh child of the spawner: be the monitor that a start request asks for, to the end.

    The connection with the request comes over `line`, some day; one that wants something else is
    served by `otherwise`.
    """
    title.set("sampan-standby")
    connection = standby.wait(line, direct.rehearse)
    if connection is None:
        return
    connection.settimeout(_PATIENCE)
    path = direct.cgroup(connection)
    if path is None:
        title.set("sampan-spawner")  # a child of it, as ever
        otherwise(connection)
        return
    process.prctl(process.PR.SET_CHILD_SUBREAPER, 1)
    _signal.signal(_signal.SIGTERM, _nothing)
    attempt: direct.Direct | launch.Launch
    try:  # before we touch what both would have to copy
        attempt = direct.Direct(connection, path) if path else launch.Launch(connection)
    except (errors.SampanError, OSError) as failure:
        _refuse(connection, failure)
        return
    os.setsid()
    wakeup = _catch_signals()
    request = attempt.request()
    if request is None:
        return
    title.set("sampan-monitor", request.id[:12])
    try:
        monitor = Monitor(request)
    except (errors.SampanError, OSError, ValueError) as failure:
        attempt.cancel()
        _refuse(connection, failure)
        return
    ready = attempt.ready(request)
    if ready is None:
        monitor.close()
        return
    try:
        monitor.start(ready, connection, wakeup)
    except (errors.SampanError, OSError, ValueError) as failure:
        monitor.close()
        ready.adopt()
        ready.process.abort()
        _refuse(connection, failure)
        return
    monitor.run()


def _refuse(connection: socket.socket, failure: Exception) -> None:
    try:
        unix.send(connection, protocol.error(failure))
    except OSError:
        pass  # the engine is gone; so is the container


def _catch_signals() -> int:
    """Wake the loop through a pipe; returns its end to read.

    A monitor ends when its container does, and not by SIGTERM; others the spawner has dealt with.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, _nothing)
    return reader


def _nothing(*_: object) -> None: ...


class Monitor:
    """Of one container: made while that is being created, and then started with it."""

    def __init__(self, request: Start) -> None:
        self._loop = loop = loops.Loop()
        self.id, self._bundle, self._clients = request.id, request.bundle, request.attach
        exit_record.clear(self._bundle)
        self.program = oci_program.Handle.of(request) if request.runtime else None
        self.status: int | None = None  # of PID 1, when it has ended
        self._oom_kills = 0
        self._log = logs.make(request.log, loop, lambda: self.session.room())
        self.subscribers = Subscribers(loop)
        announce = self.subscribers.announce
        self.execs = Execs(loop, announce)
        self.session = Session(
            loop,
            log=self._log,
            stdin_once=request.stdin_once,
            on_detach=lambda: announce(protocol.detach()),
        )
        self._relay = Relay(loop, request.ports)
        path = os.path.join(request.run, "monitor.sock")
        self._server = Server(loop, path, requests.handlers(self))

    def close(self) -> None:
        """Nothing was started, so nothing must be left."""
        self._server.close()
        self._relay.close()
        if self._log is not None:
            self._log.close()

    def start(self, ready: Ready, connection: socket.socket, wakeup: int) -> None:
        self.process, self._cgroup = ready.process, ready.cgroup
        self.execs.use(ready)
        ready.adopt()
        self.process.start()
        self.started_at = clock.now()
        self.session.use(ready.streams)
        for client in self._clients:
            self.session.attach(client)
        self.subscribers.add(connection, protocol.started(self.process.pid, self.started_at))
        self._oom_fd = self._cgroup.oom_fd()  # only now: the command need not wait for that
        if self._oom_fd is not None:
            self._loop.watch(self._oom_fd, loops.IN, self._oom)
            self._announce_oom()  # what came before it
        self._loop.watch(wakeup, loops.IN, lambda _events: self._woken(wakeup))

    def run(self) -> None:
        """Until the container has ended and everybody knows."""
        gc.enable()  # the frozen part is never looked at again
        _malloc_trim(0)
        self._reap()
        self._loop.run()

    def _woken(self, wakeup: int) -> None:
        try:
            while os.read(wakeup, 256):
                pass
        except BlockingIOError:
            pass
        self._reap()

    def _reap(self) -> None:
        """Our children: PID 1, execs, and orphans of a container without its own PID namespace."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                code = os.waitstatus_to_exitcode(status)
                if pid == self.process.pid:
                    self._ended(code)
                else:
                    self.execs.reaped(pid, code if code >= 0 else 128 - code)
        except ChildProcessError:
            pass

    def _oom(self, _events: int) -> None:
        """An eventfd or an inotify; they speak before the killer has struck, or of other things."""
        assert self._oom_fd is not None
        os.read(self._oom_fd, 4096)
        self._look_for_oom(_OOM_LOOKS)

    def _look_for_oom(self, looks: int) -> None:
        if self.status is not None:
            return
        if not self._announce_oom() and looks:
            self._loop.call_later(_OOM_PAUSE, partial(self._look_for_oom, looks - 1))

    def _announce_oom(self) -> bool:
        kills = self._cgroup.oom_count()
        grown = kills > self._oom_kills
        self._oom_kills = max(kills, self._oom_kills)  # none is left once systemd removed it
        if grown:
            self.subscribers.announce(protocol.oom())
        return grown

    def _ended(self, code: int) -> None:
        """PID 1 is gone: so must be all that is left of its container, then its output drained."""
        self.status = code
        self._exited_at = clock.now()
        self._announce_oom()
        self._oom_killed = self._oom_kills > 0
        if self._cgroup.pids():
            self._cgroup.kill()
        self.session.drain(self._finish)

    def _finish(self) -> None:
        assert self.status is not None
        if self._log is not None:
            self._log.close()
        self._relay.close()
        notes = self._delete_cgroup()
        self._server.close()
        record = protocol.ExitRecord(
            exit_code=self.status if self.status >= 0 else 128 - self.status,
            signal=-self.status if self.status < 0 else None,
            oom_killed=self._oom_killed,
            exited_at=self._exited_at,
            started_at=self.started_at,
            pid=self.process.pid,
        )
        self._write_exit_record(record)
        self.subscribers.announce(protocol.exit(record))
        if notes:
            print(notes, file=sys.stderr, flush=True)
        self._loop.call_later(_LAST_WORDS, self._loop.stop)
        self._leave_when_told()

    def _delete_cgroup(self) -> str:
        """What went wrong, if anything; the exit is announced all the same."""
        if self._oom_fd is not None:
            self._loop.forget(self._oom_fd)
        try:
            if self.program is not None:
                oci_program.delete(self.program)
            self._cgroup.delete()
        except (OSError, errors.SampanError) as failure:
            return f"container {self.id[:12]}: its cgroup is left behind: {failure}"
        return ""

    def _write_exit_record(self, record: protocol.ExitRecord) -> None:
        try:
            exit_record.write(self._bundle, record)
        except OSError as failure:  # the bundle may be gone, or the disk full
            message = f"container {self.id[:12]}: no exit record: {failure}"
            print(message, file=sys.stderr, flush=True)

    def _leave_when_told(self) -> None:
        if self.subscribers.flushed and not self.session.clients:
            self._loop.stop()
        else:
            self._loop.call_later(0.05, self._leave_when_told)
