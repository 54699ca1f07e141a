"""The spawner: a warm, single-threaded Python from which every monitor and helper is forked.

It runs from a sealed copy of the interpreter (see `linux.sealed`), has imported all that its
children will need, and freezes it, so that they share its memory. Its parent loop does nothing but
fork, accept, and hand what it accepted to a child that waits for it (`standby`): it never reads
from a connection, so nobody can hold it up. The child reads the request and becomes what that asks
for.

Its environment is empty, it has no secrets and no descriptors but the listening socket. What it
and its children say on stderr is in `run/spawner.log`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import os
import sys
from functools import partial

from sampan.kit import errors, immortal
from sampan.linux import _libc, libseccomp, seccomp, unix
from sampan.runtime import hooks, init, listener, sources, special, tuning
from sampan.shim import archive, monitor, protocol, resolver, standby, title

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_BACKLOG = 512
# What only some containers need: nothing is imported after the lock.
RARE = (hooks, libseccomp, listener, sources, special, tuning)
_LULL = 0.02  # seconds without a request until the next child is made: the last has its start first


def main(path: str, version: str, ready: int) -> None:
    """Started by `spawn.ensure`, as leader of a session of its own; never returns."""
    if os.fork():
        os._exit(0)  # the engine waits for this one only
    _isolate(ready)
    title.set("sampan-spawner")
    seccomp.cache_directory = f"{os.path.dirname(path)}/seccomp"
    _warm_up()
    door = unix.bind(path, backlog=_BACKLOG)
    os.write(ready, b"ok")
    os.close(ready)
    _serve(door, version)


def _isolate(ready: int) -> None:
    os.chdir("/")
    os.umask(0o022)
    os.environ.clear()
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd != ready:
            try:
                os.close(fd)
            except OSError:
                pass  # listdir's own
    _forget_ignored()
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("0")  # the engine may have asked for protection; containers inherit ours
    except OSError:
        pass


def _forget_ignored() -> None:
    """posix_spawn(3) of glibc ignores its own two signals, and libc would not let us undo that.

    A container would inherit it. All zeros is `struct sigaction` with SIG_DFL.
    """
    number = {"x86_64": 13}.get(os.uname().machine, 134)  # asm-generic
    for internal in (32, 33):
        _libc.raw_system_call("rt_sigaction", number, internal, bytes(64), 0, 8)


def _warm_up() -> None:
    """Everything that a child would otherwise do for itself, once."""
    monitor.prime()
    archive.prime()
    _compile_default_filter()
    init.lock_imports()  # the files may be of a newer version by then
    gc.collect()
    immortal.everything()
    gc.freeze()
    gc.disable()


def _compile_default_filter() -> None:
    """Nearly every container has it; 15 ms here once instead of in each of them."""
    from sampan.linux import seccomp
    from sampan.spec import docker_defaults, docker_seccomp

    machine = os.uname().machine
    try:
        seccomp.compile(docker_seccomp.profile(docker_defaults.CAPABILITIES, machine))
    except errors.SampanError:
        pass  # no libseccomp: a start that wants a filter will say so


def _serve(door: socket.socket, version: str) -> None:
    """What is written here is copied once for every monitor: this loop does next to nothing."""
    pid = os.getpid()
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # children leave no zombies
    _signal.signal(_signal.SIGTERM, lambda *_: os._exit(0))  # the next one replaces the socket
    # By handlers, which exec(2) resets, so that no container starts with an ignored signal
    for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _nothing)
    work = partial(_stand_by, door, version, pid)
    waiting: socket.socket | None = None
    door.settimeout(_LULL)
    while True:
        try:
            connection, _ = door._accept()  # type: ignore[attr-defined]
        except TimeoutError:
            waiting = _make(work)
            door.settimeout(None)
            continue
        except OSError:
            continue  # out of descriptors, or the caller has gone
        door.settimeout(_LULL)
        if waiting is None or not standby.hand_over(waiting, connection):
            waiting = _make(work)  # whoever killed the other one is forgiven once
            if waiting is not None:
                standby.hand_over(waiting, connection)
        waiting = None
        os.close(connection)


def _make(work: Callable[[socket.socket], None]) -> socket.socket | None:
    try:
        return standby.make(work)
    except OSError as failure:
        print(f"cannot fork: {failure}", file=sys.stderr, flush=True)
        return None


def _nothing(*_: object) -> None: ...


def _stand_by(door: socket.socket, version: str, spawner: int, line: socket.socket) -> None:
    door.close()
    for number in (_signal.SIGCHLD, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_DFL)
    monitor.run(line, partial(_answer, version, spawner))


def _answer(version: str, spawner: int, connection: socket.socket) -> None:
    """What is no start."""
    message, fds = unix.receive(connection)
    if message is None:
        return
    op = message.get("op")
    if op == "hello":
        unix.send(connection, protocol.hello_answer(version, spawner))
    elif op == "retire":
        os.kill(spawner, _signal.SIGTERM)
        unix.send(connection, protocol.ok())
    elif op == "resolver":
        resolver.run(connection, message["path"], version)
    elif op == "archive":
        archive.run(connection, message, fds)
    else:
        refusal = errors.InvalidArgument(f"a spawner knows no request {op!r}")
        unix.send(connection, protocol.error(refusal))
