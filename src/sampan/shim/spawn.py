"""The engine's side of the spawner: have one running, of this code and not of an older one.

spawn.ensure(paths)      # blocking; 1 ms where it runs already, a Python start where not
spawn.retire(paths)      # let it go; monitors stay
"""

from __future__ import annotations

import fcntl
import os
import sys

from sampan.kit import errors
from sampan.linux import sealed, unix
from sampan.shim import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.kit.paths import Paths

_READY_FD = 3
_PATIENCE = 10.0  # seconds for an answer of a spawner
_SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_BOOT = "import sys;sys.path.insert(0,{source!r});from sampan.shim.spawner import main;main({args})"


class SpawnerFailed(errors.Unavailable):
    """It did not start; the message has what it said last."""


def version() -> str:
    """Changes with the code that a spawner has in memory: sizes and times of its source files."""
    import hashlib

    digest = hashlib.sha256(sys.version.encode())
    for room in ("kit", "spec", "linux", "runtime", "image", "network", "shim"):
        for directory, _, names in sorted(os.walk(os.path.join(_SOURCE, room))):
            for name in sorted(names):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(directory, name))
                    digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def ensure(paths: Paths) -> None:
    """Return when a spawner of this code answers at `paths.spawner_socket`.

    Raises `SpawnerFailed`. Safe to call from several engines, threads and at any time.
    """
    wanted = version()
    if _running(paths) == wanted:
        return
    os.makedirs(paths.run, mode=0o711, exist_ok=True)
    lock = os.open(f"{paths.run}/spawner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _running(paths)
        if found == wanted:
            return
        if found is not None:
            retire(paths)
        _start(paths, wanted)
    finally:
        os.close(lock)


def retire(paths: Paths) -> None:
    """Ask a running spawner to end; none running is fine."""
    _ask(paths, protocol.retire())


def _running(paths: Paths) -> str | None:
    """The version of the spawner that answers, if one does."""
    answer = _ask(paths, protocol.hello())
    return answer.get("version") if answer else None


def _ask(paths: Paths, message: protocol.Message) -> protocol.Message | None:
    try:
        connection: socket.socket = unix.connect(paths.spawner_socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        connection.settimeout(_PATIENCE)
        unix.send(connection, message)
        answer: protocol.Message | None = unix.receive(connection)[0]
    except OSError:
        return None
    finally:
        connection.close()
    return answer


def _start(paths: Paths, wanted: str) -> None:
    """posix_spawn(3), because the engine has threads; the spawner leaves us by forking once more.

    It writes "ok" into a pipe when it listens, so that nobody has to poll.
    """
    ready, theirs = os.pipe()
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    log = os.open(f"{paths.run}/spawner.log", flags, 0o600)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    interpreter, null, log, theirs = map(_out_of_the_way, (sealed.interpreter(), null, log, theirs))
    args = (paths.spawner_socket, wanted, _READY_FD)
    code = _BOOT.format(source=os.path.dirname(_SOURCE), args=", ".join(map(repr, args)))
    try:
        # argv[0] tells Python where its library is; -I: no environment, no current directory.
        pid = os.posix_spawn(
            f"/proc/self/fd/{interpreter}",
            [os.path.realpath("/proc/self/exe"), "-I", "-S", "-c", code],
            {"LD_BIND_NOW": "1"},  # else each child looks symbols up for itself
            file_actions=[
                (os.POSIX_SPAWN_DUP2, descriptor, number)
                for number, descriptor in enumerate((null, log, log, theirs))
            ],
            setsid=True,
        )
    finally:
        for fd in (interpreter, null, log, theirs):
            os.close(fd)
    try:
        said = _read_all(ready)
    finally:
        os.close(ready)
        os.waitpid(pid, 0)
    if said != b"ok":
        raise SpawnerFailed(f"the spawner did not start: {_last_line(paths)}")


def _out_of_the_way(fd: int) -> int:
    """The same descriptor with a number that none of the child's 0 to 3 overwrites."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved


def _last_line(paths: Paths) -> str:
    with open(f"{paths.run}/spawner.log", errors="replace") as file:
        lines = file.read().splitlines()
    if not lines:
        return f"see {paths.run}/spawner.log"
    kind, colon, sentence = lines[-1].partition(": ")  # a traceback's last line
    return sentence if colon and kind.startswith("sampan.") else lines[-1]


def _read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 4096):
        parts.append(part)
    return b"".join(parts)
