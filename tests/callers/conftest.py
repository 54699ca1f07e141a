"""Each engine runs by hand with directories of its own, and is ended by its process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import busybox_image

RUNTIME = Path(__file__).resolve().parents[2] / ".venv/bin/sampan-oci"


class Caller:
    """A command line; calling it runs it to its end."""

    def __init__(self, *command: str, rootfs: Path) -> None:
        self.command, self.rootfs = command, rootfs

    def __call__(self, *arguments: str, code: int = 0, stdin: str = "", tty: bool = False) -> str:
        """What it printed; `tty` runs it in a terminal of its own."""
        command = [*self.command, *arguments]
        if tty:
            command = ["script", "-qefc", " ".join(map(_quoted, command)), "/dev/null"]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        text = done.stdout + done.stderr
        assert done.returncode == code, f"{arguments}: {done.returncode}: {text}"
        return text if code else done.stdout


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def eventually(check, what: str) -> None:
    """Wait for somebody else's process; there is nothing to be told by."""
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A short path: there are sockets below it."""
    place = Path(tempfile.mkdtemp(prefix="callers-", dir="/var/tmp"))
    busybox_image.tree(str(place / "rootfs"))
    subprocess.run(["tar", "-C", place / "rootfs", "-cf", place / "busybox.tar", "."], check=True)
    yield place
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{place}/"):
            subprocess.run(["umount", "-l", line.split()[1]], check=False)
    shutil.rmtree(place)


@contextlib.contextmanager
def daemon(place: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with open(place / f"{Path(command[0]).name}.log", "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found
