"""What callers hand in and read beside a container: pid files, sockets, passed descriptors."""

from __future__ import annotations

import os

from sampan.runtime import channel, errors, foreground

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from sampan.spec import oci_runtime


def write_pid(path: str, pid: int) -> None:
    """Atomically; decimal, no newline."""
    head, name = os.path.split(path)
    temporary = os.path.join(head, f".{name}")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        os.write(fd, str(pid).encode())
        os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        raise errors.InvalidConfig(f"--pid-file {path}: {errors.reason(error)}") from error


def send_pidfd(path: str, pidfd: int) -> None:
    sock = foreground.connect("--pidfd-socket", path)
    channel.send_descriptor(sock.fileno(), "pidfd", pidfd)
    sock.close()


def notifying() -> ModuleType | None:
    """The module that hands sd_notify(3) on, where our caller waits for it."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    from sampan.runtime import notify

    return notify


def listen_fds(process: oci_runtime.Process) -> tuple[oci_runtime.Process, int]:
    """systemd's socket activation, handed on: sd_listen_fds(3). (process, descriptors from 3 on)"""
    text = os.environ.get("LISTEN_FDS", "")
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        return process, 0
    return process.replace(env=(*process.env, f"LISTEN_FDS={text}", "LISTEN_PID=1")), int(text)


def check_console(process: oci_runtime.Process | None, path: str, *, detached: bool) -> None:
    """A console socket is for a terminal that nobody here will serve, and for nothing else."""
    terminal = process is not None and process.terminal
    if detached and terminal and not path:
        raise errors.InvalidConfig(
            "cannot allocate tty if runc will detach without setting console socket"
        )
    if path and not (detached and terminal):
        raise errors.InvalidConfig(
            "cannot use console socket if the container will not detach or allocate a tty"
        )
