"""System call filters: an OCI `linux.seccomp` becomes a BPF program, and a process puts it on.

    program = seccomp.compile(profile)                    # bytes: an array of struct sock_filter
    seccomp.load(program, seccomp.flags(profile))         # after fork: imports nothing

`libseccomp` does the translation, and is loaded when a profile is met for the first time: programs
are kept in memory and, with a `cache` directory, on disk.
"""

from __future__ import annotations

import os
import struct

from sampan.kit import atomic, errors
from sampan.linux import _libc, c
from sampan.linux.c import c_int, c_long, c_uint, c_ulong, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_CACHE_VERSION = "1"

FLAGS = {  # SECCOMP_FILTER_FLAG_… of seccomp(2)
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
NEW_LISTENER = 8
_prctl = _libc.function("prctl", c_int, *[c_ulong] * 4)
_seccomp = _libc.function("syscall", c_long, c_uint, c_ulong, c_void_p, restype=c_long)
_SYS_SECCOMP = {"x86_64": 317, "s390x": 348, "ppc64le": 358}.get(os.uname().machine, 277)
_memory: dict[str, bytes] = {}
# where programs are kept when `compile` is told no other place; only root can write there
cache_directory: str | None = "/run/sampan/seccomp"


class LibseccompMissing(errors.Unsupported):
    """The library that compiles filters is not installed."""


class InvalidProfile(errors.InvalidArgument):
    """A profile with a name that no one knows, or that libseccomp refuses."""


def flags(profile: dict[str, Any]) -> int:
    """The filter flags for seccomp(2); SPEC_ALLOW when the profile has no list, as in runc."""
    names = profile.get("flags")
    if names is None:
        return FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise InvalidProfile(f"seccomp: unknown flag {unknown[0]!r}")
    return sum({FLAGS[name] for name in names})


def compile(profile: dict[str, Any], *, cache: str | None = None) -> bytes:
    """The program for an OCI `linux.seccomp`, as an array of struct sock_filter.

    `cache` names a directory (made when missing) that only root may write. Raises
    InvalidProfile, LibseccompMissing.
    """
    key = _key(profile)
    program = _memory.get(key)
    cache = cache or cache_directory
    if program is None and cache is not None:
        program = _read(f"{cache}/{key}")
    if program is None:
        from sampan.linux import libseccomp

        program = libseccomp.compile(profile)
        if cache is not None:
            _keep(cache, key, program)
    _memory[key] = program
    return program


def _keep(cache: str, key: str, program: bytes) -> None:
    try:
        os.makedirs(cache, 0o700, exist_ok=True)
        atomic.write(f"{cache}/{key}", program, sync=False)
    except PermissionError:  # another user's: every start compiles it, then
        pass


def load(program: bytes, flags: int = 0) -> int:
    """Put the filter on this process. Needs CAP_SYS_ADMIN or no_new_privs.

    Returns the listener's descriptor with NEW_LISTENER, else 0. Calls nothing but seccomp(2).
    """
    code = c.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, c.addressof(code))
    buffer = c.create_string_buffer(fprog, len(fprog))
    return _seccomp(_SYS_SECCOMP, _SECCOMP_SET_MODE_FILTER, flags, c.addressof(buffer))


def no_new_privs() -> None:
    """prctl(2) PR_SET_NO_NEW_PRIVS."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _key(profile: dict[str, Any]) -> str:
    """Another order of the same profile is another key, which costs a compile and no more."""
    from _blake2 import blake2b  # what hashlib hands out, without importing OpenSSL

    text = f"{_CACHE_VERSION} {os.uname().machine} {profile!r}"
    return str(blake2b(text.encode(), digest_size=24).hexdigest())


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, PermissionError):  # there is none, or it is not this user's
        return None
    try:
        status = os.fstat(fd)
        program = os.read(fd, status.st_size + 1)
    finally:
        os.close(fd)
    ours = status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return program if ours and program and len(program) % 8 == 0 else None
