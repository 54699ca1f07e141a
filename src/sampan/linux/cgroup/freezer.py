"""Stopping every process of a cgroup at once: freezer.state on v1, cgroup.freeze on v2."""

from __future__ import annotations

import errno
import select
import time

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import CgroupBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

_AT_ONCE = 25  # looks before it pays to leave the processor to those who are to stop


def freeze_v1(directory: str, *, seconds: float = 10.0) -> None:
    """Freeze and see to it: a process forking at that moment can keep the state at FREEZING.

    Asking again, and now and then letting go, gets past it (kernel: freezer-subsystem.rst).
    """
    path = f"{directory}/freezer.state"
    deadline = time.monotonic() + seconds
    attempt = 0
    while True:
        files.write(path, "FROZEN")
        state = files.read(path).strip()
        if state == "FROZEN":
            return
        if state != "FREEZING" or time.monotonic() > deadline:
            break
        attempt += 1
        if attempt % 50 == 0:
            files.write(path, "THAWED")
            time.sleep(0.01)
        elif attempt > _AT_ONCE:
            time.sleep(0.001)
    files.write(path, "THAWED")
    raise CgroupBusy(f"{directory} could not be frozen: a process there cannot be stopped")


def thaw_v1(directory: str) -> None:
    files.write(f"{directory}/freezer.state", "THAWED")


def is_frozen_v1(directory: str) -> bool:
    try:
        return files.read(f"{directory}/freezer.state").strip() != "THAWED"
    except FileNotFoundError:
        return False


def is_frozen_v2(directory: str) -> bool:
    try:
        return files.read(f"{directory}/cgroup.freeze").strip() == "1"
    except FileNotFoundError:
        return False


def _read(events: FileIO) -> bytes:
    try:
        return events.read(4096)
    except OSError as error:
        if error.errno == errno.ENODEV:  # the last process has ended, and systemd removed it
            raise files.gone(str(events.name)) from error
        raise


def set_v2(directory: str, frozen: bool, *, seconds: float = 10.0) -> None:
    """Write cgroup.freeze and wait for cgroup.events to agree (it signals changes by POLLPRI)."""
    with open(f"{directory}/cgroup.events", "rb", buffering=0) as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        files.write(f"{directory}/cgroup.freeze", str(int(frozen)))
        deadline = time.monotonic() + seconds
        while f"frozen {int(frozen)}".encode() not in _read(events).splitlines():
            left = deadline - time.monotonic()
            if left <= 0:
                files.write(f"{directory}/cgroup.freeze", "0")
                raise CgroupBusy(f"{directory} could not be frozen within {seconds:.0f} seconds")
            poll.poll(left * 1000)
            events.seek(0)
