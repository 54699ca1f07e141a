"""Signals by number. `signal` would import `enum` for their names, 3 ms that a short life feels."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from sampan.linux import _libc

SIGINT, SIGQUIT, SIGKILL, SIGTERM, SIGCHLD, SIGTTIN, SIGTTOU, SIGWINCH = 2, 3, 9, 15, 17, 21, 22, 28
_ALL = frozenset(range(1, 65)) - {32, 33}  # those two are the C library's own
_ORDER = (  # signal(7), the numbers of x86 and arm
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP "
    "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
NAMES = {name: number for number, name in enumerate(_ORDER.split(), start=1)}


def parse(text: str) -> int:
    """`9`, `KILL`, `SIGKILL`, `sigkill` or `RTMIN+3` as a number; raises ValueError."""
    if text.isascii() and text.isdecimal():
        number = int(text)
    else:
        name = text.upper().removeprefix("SIG")
        head, plus, offset = name.partition("+")
        if head == "RTMIN" and (not plus or offset.isdecimal()):
            number = 34 + int(offset or 0)
        elif name.startswith("RTMAX"):
            number = 64 - int(name[6:] or 0)
        else:
            number = NAMES.get(name, 0)
    if not 0 < number <= 64:
        raise ValueError(f"unknown signal {text!r}")
    return number


def description(number: int) -> str:
    """`bad system call` for 31: what the C library says of it (strsignal(3))."""
    return str(_signal.strsignal(number) or number).lower()


def reset() -> None:
    """Defaults for all that is ignored, nothing blocked: what a new program expects."""
    for number in _ALL - {9, 19}:
        if _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def block_all() -> None:
    _signal.pthread_sigmask(_signal.SIG_SETMASK, _ALL)


def exit_on_request() -> None:
    """Let HUP, INT, QUIT and TERM end us: by handlers, for PID 1 is spared the default action."""
    for number in (1, SIGINT, SIGQUIT, SIGTERM):
        _signal.signal(number, lambda number, frame: os._exit(128 + number))
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (1, SIGINT, SIGQUIT, SIGTERM))


def wait() -> tuple[int, int]:
    """Take the next blocked signal: (number, sender's pid; 0 from the kernel or from outside)."""
    info = _signal.sigwaitinfo(_ALL)
    return info.si_signo, info.si_pid


def send(pidfd: int, number: int) -> None:
    _signal.pidfd_send_signal(pidfd, number)


def descriptor() -> int:
    """A signalfd(2) of all that is blocked; `pending` reads it."""
    global _descriptor
    if _descriptor < 0:
        mask = sum(1 << (number - 1) for number in _ALL)
        _descriptor = _libc.signalfd(-1, mask.to_bytes(8, "little").ljust(128, b"\0"), 0o2004000)
    return _descriptor


def pending() -> list[int]:
    """The signals that have come to the descriptor."""
    data = os.read(descriptor(), 128 * 64)
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 128)]


_descriptor = -1
