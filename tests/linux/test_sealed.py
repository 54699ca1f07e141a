"""The interpreter cannot be overwritten through /proc/PID/exe, also by root."""

import errno
import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys; sys.path.insert(0, "src")
from sampan.linux import sealed
sealed.ensure()
assert sealed.is_sealed()
import os
for way in ("/proc/self/exe", f"/proc/self/fd/{os.open('/proc/self/exe', os.O_PATH)}"):
    try:
        os.open(way, os.O_WRONLY)
    except OSError as error:
        print(error.errno, sys.argv[1:], os.path.basename(sys.prefix))
"""


def run(*start):
    return subprocess.run(
        [*start, "-ISc", PROGRAM, "a b", "c"], capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.mark.needs("mount")
def test_a_sealed_start_keeps_arguments_and_library() -> None:
    python = os.path.realpath(sys.executable)
    for line in (lines := run(python)):
        number, rest = line.split(" ", 1)
        # the file system is read-only before it is busy
        assert int(number) in (errno.EROFS, errno.ETXTBSY)
        assert rest == f"['a b', 'c'] {os.path.basename(sys.base_prefix)}"
    assert len(lines) == 2


def test_a_copy_is_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from sampan.linux import sealed

    copy = sealed._copy(os.path.realpath(sys.executable))
    with pytest.raises(PermissionError):
        os.write(copy, b"x")
    with open(os.path.realpath(sys.executable), "rb") as file:
        assert os.pread(copy, 1 << 24, 0) == file.read()
    os.close(copy)
