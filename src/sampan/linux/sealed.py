"""An interpreter that no container can overwrite (CVE-2019-5736).

A process of ours that a container can see has `/proc/PID/exe`, and what that names must not be the
host's writable file. `ensure()` re-executes this program once from a read-only view of the same
file: a detached bind mount (open_tree(2), mount_setattr(2)) that is in nobody's mount namespace, so
nobody can make it writable; where that is refused, a sealed memfd copy. docs/decisions/0001 has the
figures.

`install()` leaves such a view at a path, from which the next start needs no second exec.
"""

from __future__ import annotations

import fcntl
import os
import sys

from sampan.linux import mount
from sampan.linux.mount import MOUNT_ATTR, OPEN_TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

DIRECTORY = "/run/sampan/python"
_ST_RDONLY = 1
_MARK = "SAMPAN_SEALED"


def is_sealed() -> bool:
    """Whether the file this process runs can be written through /proc/self/exe by nobody."""
    exe = os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)
    try:
        if os.fstatvfs(exe).f_flag & _ST_RDONLY:
            return True
        return os.readlink(f"/proc/self/fd/{exe}").startswith("/memfd:")
    finally:
        os.close(exe)


def ensure(arguments: Sequence[str] | None = None) -> None:
    """Return if sealed; else start again, with the same arguments, from a sealed file.

    Descriptors that are inheritable stay open. Raises OSError where the host allows neither way.
    """
    if not is_sealed():
        if os.environ.get(_MARK) == str(os.getpid()):
            raise OSError(1, "the interpreter could not be sealed")
        exec_sealed(arguments or sys.orig_argv)


def exec_sealed(arguments: Sequence[str]) -> NoReturn:
    """Execute this interpreter, sealed, with `arguments` (the first one is its path)."""
    program = os.path.realpath("/proc/self/exe")
    fd = interpreter()
    # The first argument is what the interpreter finds its library by
    environment = {**os.environ, _MARK: str(os.getpid())}
    os.execve(fd, [program, *arguments[1:]], environment)


def interpreter() -> int:
    """A descriptor of this interpreter, sealed, for whoever executes it (close-on-exec)."""
    program = os.path.realpath("/proc/self/exe")
    try:
        return _read_only_view(program)
    except OSError:
        return _copy(program)


def install(directory: str = DIRECTORY) -> None:
    """Show the read-only view at `directory/bin/NAME`; harmless to repeat."""
    program = os.path.realpath("/proc/self/exe")
    place = f"{directory}/bin/{os.path.basename(program)}"
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
    lock = os.open(f"{directory}/lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(place) and os.path.samefile(place, program):
            return
        os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o755))
        with open(f"{directory}/pyvenv.cfg", "w", encoding="utf-8") as file:
            file.write(f"home = {os.path.dirname(program)}\n")  # where its library is
        view = _read_only_view(program)
        mount.move_mount(view, place)
        os.close(view)
    finally:
        os.close(lock)


def _read_only_view(program: str) -> int:
    tree = mount.open_tree(program, OPEN_TREE.CLONE)
    try:
        mount.set_attributes(tree, MOUNT_ATTR.RDONLY, propagation=mount.MS.PRIVATE)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _copy(program: str) -> int:
    copy = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    source = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    size = done = os.fstat(source).st_size
    while done:
        done -= os.sendfile(copy, source, size - done, done)
    os.close(source)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, 0x1 | 0x2 | 0x4 | 0x8)  # seal, shrink, grow, write
    return copy
