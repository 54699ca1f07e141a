"""Cgroup files: small texts, read whole and written by one write(2) each."""

from __future__ import annotations

import errno
import os

from sampan.linux.cgroup.errors import ControllerMissing, InvalidLimit

UNLIMITED = (
    0x7FFF_FFFF_FFFF_0000  # v1 says "no limit" as the largest multiple of a page (up to 64 KiB)
)


def read(path: str) -> str:
    """FileNotFoundError also where the cgroup goes while it is read, as systemd's do when empty."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, 65536)
        while data and (more := os.read(fd, 65536)):
            data += more
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise gone(path) from error
        raise
    finally:
        os.close(fd)
    return data.decode()


def write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        if error.errno == errno.ENODEV and not exists(path):
            raise gone(path) from error
        error.filename = path
        raise
    finally:
        os.close(fd)


def gone(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def exists(path: str) -> bool:
    return os.access(path, os.F_OK)


def set_limit(directory: str, file: str, value: object) -> None:
    """Write one limit; what the kernel says no to becomes a sentence about the limit."""
    controller = file.partition(".")[0]
    try:
        write(f"{directory}/{file}", str(value))
    except OSError as error:
        if error.errno == errno.ENOENT:
            if not exists(directory):
                raise
            message = f"this kernel's {controller} controller has no {file}, wanted {str(value)!r}"
            raise ControllerMissing(controller, message) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            message = f"may not set {file} to {str(value)!r} in {directory}: {error.strerror}"
            raise ControllerMissing(controller, message) from error
        if error.errno in (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.ENXIO, errno.ENOSPC):
            message = (
                f"the kernel refused {str(value)!r} for {file} in {directory}: {error.strerror}"
            )
            raise InvalidLimit(message) from error
        raise


def number(path: str, missing: int = 0) -> int:
    """A file that holds one number; `missing` where the kernel has no such file."""
    try:
        return int(read(path))
    except FileNotFoundError:
        return missing


def limit(path: str) -> int | None:
    """A file that holds a limit; None for "max", v1's huge number, and where there is no file."""
    try:
        text = read(path).strip()
    except FileNotFoundError:
        return None
    value = UNLIMITED if text == "max" else int(text)
    return value if value < UNLIMITED else None


def flat(path: str) -> dict[str, int]:
    """A flat keyed file (cgroup-v2.rst): `key value` lines; empty where there is no file."""
    try:
        lines = read(path).splitlines()
    except FileNotFoundError:
        return {}
    return {key: int(value) for key, _, value in (line.partition(" ") for line in lines) if value}


def sub_cgroups(directory: str) -> list[str]:
    """Directories of the cgroups directly below; empty when it is gone."""
    try:
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
