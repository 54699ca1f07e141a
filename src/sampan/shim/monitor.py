"""The monitor: one process beside each container, its parent, which outlives the engine.

Forked from the spawner, it becomes subreaper, creates the container (`launch`), and then serves in
one epoll loop: output to the log and to clients (`session`), execs, requests on its socket
(`server`), events (`subscribers`), connections that reached a published port's own socket
(`relay`). When PID 1 ends it delivers what is left, writes `exit.json`, removes the cgroup,
announces the exit, and ends. PID 1 dies with it (PR_SET_PDEATHSIG, set by the runtime).

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
    exit_record,
    helper,
    launch,
    logs,
    oci_program,
    protocol,
    rehearsal,
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
    from typing import Any

    from sampan.shim.launch import Ready
    from sampan.shim.protocol import Message
    from sampan.shim.server import Handler

_OOM_LOOKS, _OOM_PAUSE = 20, 0.05  # after a notification the counter is behind for a moment
_LAST_WORDS = 10.0  # seconds that clients and subscribers get to take the rest
_malloc_trim = _libc.function("malloc_trim", ctypes.c_size_t)


def prime() -> None:
    """In the spawner: what each child would otherwise do for itself."""
    rehearsal.rehearse()
    cgroups.prime()
    seccomp.compile(docker_seccomp.profile(docker_defaults.CAPABILITIES, os.uname().machine))


def run(connection: socket.socket) -> None:
    """In a fresh child of the spawner: be the monitor that the start request on this connection
    asks for, to the end."""
    os.setsid()
    process.prctl(process.PR.SET_CHILD_SUBREAPER, 1)
    wakeup = _catch_signals()
    ready = launch.container(connection)
    if ready is None:
        return
    title.set("sampan-monitor", ready.request.id[:12])
    try:
        monitor = Monitor(ready, connection, wakeup)
    except (errors.SampanError, OSError, ValueError) as failure:
        ready.adopt()
        ready.process.abort()
        try:
            unix.send(connection, protocol.error(failure))
        except OSError:
            pass  # the engine is gone; so is the container
        return
    monitor.run()


def _catch_signals() -> int:
    """Wake the loop through a pipe; returns its end to read.

    Handlers instead of SIG_IGN, because exec(2) resets only those: the container must not start
    with ignored signals. SIGTERM and the like do nothing: a monitor ends when its container does.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (
        _signal.SIGCHLD,
        _signal.SIGTERM,
        _signal.SIGINT,
        _signal.SIGHUP,
        _signal.SIGPIPE,
        _signal.SIGXFSZ,
    ):
        _signal.signal(number, lambda *_: None)
    return reader


class NotRunning(errors.Conflict): ...


class Monitor:
    """Made with a container that runs, or not at all."""

    def __init__(self, ready: Ready, connection: socket.socket, wakeup: int) -> None:
        request = ready.request
        self._loop = loop = loops.Loop()
        self._id, self._bundle = request.id, request.bundle
        self._process, self._cgroup = ready.process, ready.cgroup
        self._program = oci_program.Handle.of(request) if request.runtime else None
        self._status: int | None = None
        self._oom_kills = 0
        self._oom_fd = self._cgroup.oom_fd()
        self._log = logs.make(request.log, loop, lambda: self._session.room())
        self._subscribers = Subscribers(loop)
        announce = self._subscribers.announce
        self._execs = Execs(loop, ready, announce)
        self._session = Session(
            loop,
            log=self._log,
            stdin_once=request.stdin_once,
            on_detach=lambda: announce(protocol.detach()),
        )
        self._relay = Relay(loop, request.ports)
        self._server = Server(loop, os.path.join(request.run, "monitor.sock"), self._handlers())
        try:
            exit_record.clear(request.bundle)
            ready.adopt()
            self._process.start()
        except BaseException:
            self._server.close()
            raise
        self._started_at = clock.now()
        self._session.use(ready.streams)
        for client in request.attach:
            self._session.attach(client)
        self._subscribers.add(connection, protocol.started(self._process.pid, self._started_at))
        if self._oom_fd is not None:
            loop.watch(self._oom_fd, loops.IN, self._oom)
        loop.watch(wakeup, loops.IN, lambda _events: self._woken(wakeup))

    def run(self) -> None:
        """Until the container has ended and everybody knows."""
        gc.enable()  # the frozen part is never looked at again
        _malloc_trim(0)
        self._reap()
        self._loop.run()

    # ---- requests

    def _handlers(self) -> dict[str, Handler]:
        return {
            "subscribe": self._subscribe,
            "attach": self._attach,
            "exec": self._exec,
            "resize": self._resize,
            "kill": self._kill,
            "call": self._call,
            "close_stdin": self._close_stdin,
        }

    def _subscribe(self, sock: socket.socket, _message: Message, _fds: list[int]) -> None:
        state = protocol.state(self._process.pid, self._started_at, self._execs.pids())
        self._subscribers.add(sock, state)

    def _attach(self, _sock: socket.socket, message: Message, fds: list[int]) -> Message:
        self._session.attach(protocol.parse_attach(message, fds))
        return protocol.ok()

    def _exec(self, sock: socket.socket, message: Message, fds: list[int]) -> None:
        if self._status is not None:
            raise NotRunning(f"container {self._id[:12]} is not running")
        self._execs.start(sock, protocol.parse_exec(message, fds))

    def _resize(self, _sock: socket.socket, message: Message, _fds: list[int]) -> Message:
        rows, columns, exec_id = message["rows"], message["columns"], message.get("exec_id")
        if exec_id:
            resized = self._execs.resize(exec_id, rows, columns)
        else:
            resized = self._session.resize(rows, columns)
        if not resized:
            raise errors.Conflict(f"{exec_id or self._id[:12]} has no terminal to resize")
        return protocol.ok()

    def _kill(self, sock: socket.socket, message: Message, _fds: list[int]) -> Message | None:
        if self._program is not None and oci_program.is_alive(self._process.pidfd):
            self._delegate(sock, "kill", [str(message["signal"])])
            return None
        try:
            _signal.pidfd_send_signal(self._process.pidfd, message["signal"])
        except ProcessLookupError:
            raise NotRunning(f"container {self._id[:12]} is not running") from None
        return protocol.ok()

    def _call(self, sock: socket.socket, message: Message, _fds: list[int]) -> None:
        if self._program is None or message["verb"] not in ("pause", "resume", "update"):
            raise errors.InvalidArgument(f"no other runtime is here to {message['verb']}")
        if self._status is not None:
            raise NotRunning(f"container {self._id[:12]} is not running")
        self._delegate(sock, message["verb"], message["argument"])

    def _delegate(self, sock: socket.socket, verb: str, argument: Any) -> None:
        """The container's runtime does it, in a helper that answers and owns the connection."""
        assert self._program is not None
        program, pidfd = self._program, self._process.pidfd
        _, channel = helper.fork(
            lambda _: oci_program.answer(sock, program, pidfd, verb, argument),
            keep=(sock.fileno(), pidfd),
        )
        channel.close()
        sock.close()

    def _close_stdin(self, _sock: socket.socket, _message: Message, _fds: list[int]) -> Message:
        self._session.end_stdin()
        return protocol.ok()

    # ---- what happens

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
                if pid == self._process.pid:
                    self._ended(code)
                else:
                    self._execs.reaped(pid, code if code >= 0 else 128 - code)
        except ChildProcessError:
            pass

    def _oom(self, _events: int) -> None:
        """An eventfd or an inotify; they speak before the killer has struck, or of other things."""
        assert self._oom_fd is not None
        os.read(self._oom_fd, 4096)
        self._look_for_oom(_OOM_LOOKS)

    def _look_for_oom(self, looks: int) -> None:
        if self._status is not None:
            return
        if not self._announce_oom() and looks:
            self._loop.call_later(_OOM_PAUSE, partial(self._look_for_oom, looks - 1))

    def _announce_oom(self) -> bool:
        kills = self._cgroup.oom_count()
        grown = kills > self._oom_kills
        self._oom_kills = kills
        if grown:
            self._subscribers.announce(protocol.oom())
        return grown

    def _ended(self, code: int) -> None:
        """PID 1 is gone: so must be all that is left of its container, then its output drained."""
        self._status = code
        self._exited_at = clock.now()
        self._announce_oom()
        self._oom_killed = self._oom_kills > 0
        if self._cgroup.pids():
            self._cgroup.kill()
        self._session.drain(self._finish)

    def _finish(self) -> None:
        assert self._status is not None
        if self._log is not None:
            self._log.close()
        self._relay.close()
        notes = self._delete_cgroup()
        self._server.close()
        record = protocol.ExitRecord(
            exit_code=self._status if self._status >= 0 else 128 - self._status,
            signal=-self._status if self._status < 0 else None,
            oom_killed=self._oom_killed,
            exited_at=self._exited_at,
            started_at=self._started_at,
            pid=self._process.pid,
        )
        self._write_exit_record(record)
        self._subscribers.announce(protocol.exit(record))
        if notes:
            print(notes, file=sys.stderr, flush=True)
        self._loop.call_later(_LAST_WORDS, self._loop.stop)
        self._leave_when_told()

    def _delete_cgroup(self) -> str:
        """What went wrong, if anything; the exit is announced all the same."""
        if self._oom_fd is not None:
            self._loop.forget(self._oom_fd)
        try:
            if self._program is not None:
                oci_program.delete(self._program)
            self._cgroup.delete()
        except (OSError, errors.SampanError) as failure:
            return f"container {self._id[:12]}: its cgroup is left behind: {failure}"
        return ""

    def _write_exit_record(self, record: protocol.ExitRecord) -> None:
        try:
            exit_record.write(self._bundle, record)
        except OSError as failure:  # the bundle may be gone, or the disk full
            message = f"container {self._id[:12]}: no exit record: {failure}"
            print(message, file=sys.stderr, flush=True)

    def _leave_when_told(self) -> None:
        if self._subscribers.flushed and not self._session.clients:
            self._loop.stop()
        else:
            self._loop.call_later(0.05, self._leave_when_told)
