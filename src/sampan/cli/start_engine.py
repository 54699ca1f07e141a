"""No engine answers at the default socket: start one, and wait until it does.

One process starts it, however many find it missing: a lock file in the run directory decides.
The engine gets a session of its own (a double fork), so that neither the terminal nor the
command that happened to start it takes it along.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time

from sampan.client import api, errors
from sampan.kit import errors as kit_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.kit.paths import Paths

NOTE_AFTER = 1.0  # seconds until the user is told what we wait for
PATIENCE = 30.0  # seconds until we give up
CANNOT_START = "the engine cannot start: "  # how sampand says so in its log
_MANY = 4096
SHOWN_LINES = 12  # of the engine's log, when it fails


class StartFailed(kit_errors.Unavailable):
    """The engine could not be started; the message carries its last words."""


def ensure(paths: Paths) -> None:
    """Return when an engine answers at `paths.api_socket`. Raises StartFailed."""
    if os.geteuid() != 0:
        raise StartFailed(
            f"no engine answers at {paths.api_socket}, and only root can start one "
            "(use sudo, or name an engine with -H or SAMPAN_HOST)"
        )
    os.makedirs(paths.run, mode=0o711, exist_ok=True)
    os.makedirs(paths.root, mode=0o711, exist_ok=True)
    lock = os.open(f"{paths.run}/start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _answers(paths):
            _wait(paths, _start(paths))
    except StartFailed:
        _remove_cgroup(paths.engine_cgroup)
        raise
    finally:
        os.close(lock)


def log_path(paths: Paths) -> str:
    return f"{paths.run}/sampand.log"


def program(name: str = "sampand") -> str:
    """A program of ours, from beside this one, else from PATH."""
    beside = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), name)
    if os.access(beside, os.X_OK):
        return beside
    for directory in os.get_exec_path():
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    raise StartFailed(f"{name} is neither at {beside} nor in PATH")


def _start(paths: Paths) -> int:
    """Start the engine; a pidfd of it."""
    words = [program(), "--foreground", "--root", paths.root, "--run", paths.run]
    log = os.open(log_path(paths), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    read, write = os.pipe2(os.O_CLOEXEC)
    middle = os.fork()
    if middle == 0:
        _become_engine(words, log, write, paths.engine_cgroup)
    os.close(write)
    os.close(log)
    os.waitpid(middle, 0)
    with os.fdopen(read, "rb") as pipe:
        pid = int(pipe.read())
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise _failure(paths, "the engine ended at once") from None


def _become_engine(words: list[str], log: int, write: int, own: str) -> None:
    """In the middle process: a new session, and the engine as its orphan in a cgroup of its own.

    Never returns.
    """
    try:
        os.setsid()
        engine = os.fork()
        if engine:
            os.write(write, str(engine).encode())
            os._exit(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, _MANY)  # whatever our caller left open is not the engine's
        os.chdir("/")
        leave_callers_cgroup(own)
        os.execv(words[0], words)
    except OSError as error:
        os.write(2, f"{words[0]}: {(error.strerror or '').lower()}\n".encode())
    finally:
        os._exit(127)


def leave_callers_cgroup(own: str) -> None:
    """The engine is nobody's: not of the session or the job whose command has started it."""
    from sampan.linux.cgroup import own as places

    try:
        places.take(own)
    except (OSError, kit_errors.SampanError) as error:  # it works there, too, as long as that is
        message = f"the engine stays in the cgroup of the command that started it: {error}\n"
        os.write(2, message.encode())


def _remove_cgroup(own: str) -> None:
    from sampan.linux.cgroup import own as places

    try:
        places.give_back(own)
    except (OSError, kit_errors.SampanError):
        pass  # the engine lives, though it does not answer


def _wait(paths: Paths, pidfd: int) -> None:
    """Until the engine answers, or ends, or patience does."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    begin, told, pause = time.monotonic(), False, 5
    try:
        while not _answers(paths):
            if poll.poll(pause):  # the engine is readable once it has ended
                raise _failure(paths, "the engine ended while it started")
            waited = time.monotonic() - begin
            if waited > PATIENCE:
                raise _failure(paths, f"the engine does not answer after {PATIENCE:.0f} s")
            if waited > NOTE_AFTER and not told:
                told = True
                print("starting the engine …", file=sys.stderr)
            pause = min(pause + 5, 50)
    finally:
        os.close(pidfd)


def _answers(paths: Paths) -> bool:
    try:
        with api.Client(f"unix://{paths.api_socket}") as client:
            client.ping()
    except (errors.Unreachable, errors.BrokenAnswer):
        return False
    return True


def _failure(paths: Paths, what: str) -> StartFailed:
    try:
        with open(log_path(paths), "rb") as file:
            lines = file.read()[-8192:].decode("utf-8", "replace").splitlines()[-SHOWN_LINES:]
    except OSError:
        lines = []
    if lines and CANNOT_START in lines[-1]:
        return StartFailed(CANNOT_START + lines[-1].partition(CANNOT_START)[2])
    said = "".join(f"\n  {line}" for line in lines)
    return StartFailed(f"{what}; its log is {log_path(paths)}{':' if said else ''}{said}")
