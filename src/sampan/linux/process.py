"""What a process sets about itself: prctl(2), rlimits, names, descriptors, session keyring."""

from __future__ import annotations

import os
import select

from sampan.linux import _libc, c, signals


class PR:
    SET_PDEATHSIG = 1
    GET_DUMPABLE = 3
    SET_DUMPABLE = 4
    SET_KEEPCAPS = 8
    SET_NAME = 15
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    GET_SECUREBITS = 27
    SET_SECUREBITS = 28
    SET_CHILD_SUBREAPER = 36
    GET_CHILD_SUBREAPER = 37
    SET_NO_NEW_PRIVS = 38
    CAP_AMBIENT = 47


NO_SETUID_FIXUP = 4  # of the secure bits: capabilities stay when the user changes

RLIMITS = {  # getrlimit(2), asm-generic; OCI spells them with their prefix
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
INFINITY = 2**64 - 1


def prctl(option: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0) -> int:
    return _libc.prctl(option, a, b, c, d)


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """The (soft, hard) limits of a process before this call; set them where `limits` is given."""
    pair = c.c_uint64 * 2
    old = pair()
    new = c.byref(pair(*limits)) if limits else None
    _libc.prlimit(pid, resource, new, c.byref(old))
    return old[0], old[1]


def wait(pidfd: int) -> None:
    """Until the process has ended, whose child it may be; reaps one of ours."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        pass


def end(pidfd: int) -> None:
    """Kill it, wait until it has ended, and close the descriptor."""
    try:
        signals.send(pidfd, signals.SIGKILL)
        wait(pidfd)
    except ProcessLookupError:
        pass
    os.close(pidfd)


def close_from(first: int, *, on_exec: bool = False) -> None:
    """Close every descriptor from `first` on, now or at the next execve (close_range(2))."""
    _libc.close_range(first, 0xFFFFFFFF, 4 if on_exec else 0)


def sethostname(name: str) -> None:
    data = name.encode()
    _libc.sethostname(data, len(data))


def setdomainname(name: str) -> None:
    data = name.encode()
    _libc.setdomainname(data, len(data))


def personality(persona: int) -> None:
    _libc.personality(persona)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor; it is closed on execve."""
    return _libc.raw_system_call("pidfd_getfd", 438, pidfd, fd, 0)


def join_session_keyring(name: str) -> None:
    """A session keyring of its own (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING)."""
    number = {"x86_64": 250, "aarch64": 219, "riscv64": 219}.get(os.uname().machine)
    if number is None:
        raise OSError(38, "keyctl: unknown system call number on this machine")
    _libc.raw_system_call("keyctl", number, 1, name.encode())
