"""A file system in a sparse file: how a volume is bounded where its directory cannot be."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

from sampan.engine import units
from sampan.kit import errors

SMALLEST = 1 << 20  # below it mkfs.ext4 has no room for its own tables


def check(text: str) -> int:
    """`10m` → bytes. Refused where it is no size, or where this host cannot bound it."""
    size = units.size(text)
    if size < SMALLEST:
        raise errors.InvalidArgument(f'invalid size for volume: "{text}": the smallest is 1m')
    for program in ("mkfs.ext4", "mount"):
        if not shutil.which(program):
            raise errors.Unsupported(
                f"a volume's size cannot be bounded here: there is no {program} (install e2fsprogs "
                "and mount)"
            )
    return size


def make(path: str, size: int) -> None:
    """An empty file system; it appears when it is complete. All blocks are for the user."""
    temporary = f"{path}.new"
    try:
        with open(temporary, "wb") as file:
            file.truncate(size)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "root_owner=0:0", temporary)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def mount(path: str, place: str) -> None:
    """mount(8) sets the loop device up so that it goes with the last mount (LO_FLAGS_AUTOCLEAR)."""
    run("mount", "-t", "ext4", "-o", "loop,nodev", path, place)
    with contextlib.suppress(OSError):
        os.rmdir(f"{place}/lost+found")  # so that an empty volume is empty; fsck makes it again


def run(*command: str) -> None:
    """CalledProcessError holds what the program said (`said`)."""
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


def said(error: subprocess.CalledProcessError) -> str:
    """The reason alone: programs begin with their name and the place."""
    lines = error.stderr.decode(errors="replace").strip().splitlines()
    return (lines[0].strip() if lines else f"{error.cmd[0]} ended with {error.returncode}").rstrip(
        "."
    )
