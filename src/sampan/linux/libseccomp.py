"""Compiling an OCI `linux.seccomp` with libseccomp.so.2, through ctypes (seccomp_init(3) and on).

Before libseccomp's program comes a stub of ours: a system call newer than every one the profile
names gets ENOSYS instead of the profile's EPERM, because programs fall back on ENOSYS only (glibc
and clone3, runc issue 2151). Names that this libseccomp does not know are passed over.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from ctypes import c_char_p, c_int, c_uint, c_uint32, c_uint64, c_void_p

from sampan.linux.seccomp import InvalidProfile, LibseccompMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_KILL_PROCESS, _KILL_THREAD, _TRAP, _LOG, _ALLOW = (
    0x8000_0000,
    0,
    0x0003_0000,
    0x7FFC_0000,
    0x7FFF_0000,
)
_ERRNO, _TRACE, _NOTIFY = 0x0005_0000, 0x7FF0_0000, 0x7FC0_0000
ACTIONS = {
    "SCMP_ACT_KILL": _KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": _KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": _KILL_PROCESS,
    "SCMP_ACT_TRAP": _TRAP,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_ALLOW": _ALLOW,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_NOTIFY": _NOTIFY,
}
_WITH_DATA = (_ERRNO, _TRACE)
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
# OCI name → libseccomp's name, AUDIT_ARCH_… of linux/audit.h
ARCHITECTURES = {
    "SCMP_ARCH_X86": ("x86", 0x4000_0003),
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000_003E),
    "SCMP_ARCH_X32": ("x32", 0xC000_003E),
    "SCMP_ARCH_ARM": ("arm", 0x4000_0028),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC000_00B7),
    "SCMP_ARCH_MIPS": ("mips", 0x0000_0008),
    "SCMP_ARCH_MIPS64": ("mips64", 0x8000_0008),
    "SCMP_ARCH_MIPS64N32": ("mips64n32", 0xA000_0008),
    "SCMP_ARCH_MIPSEL": ("mipsel", 0x4000_0008),
    "SCMP_ARCH_MIPSEL64": ("mipsel64", 0xC000_0008),
    "SCMP_ARCH_MIPSEL64N32": ("mipsel64n32", 0xE000_0008),
    "SCMP_ARCH_PPC": ("ppc", 0x0000_0014),
    "SCMP_ARCH_PPC64": ("ppc64", 0x8000_0015),
    "SCMP_ARCH_PPC64LE": ("ppc64le", 0xC000_0015),
    "SCMP_ARCH_S390": ("s390", 0x0000_0016),
    "SCMP_ARCH_S390X": ("s390x", 0x8000_0016),
    "SCMP_ARCH_PARISC": ("parisc", 0x0000_000F),
    "SCMP_ARCH_PARISC64": ("parisc64", 0x8000_000F),
    "SCMP_ARCH_RISCV64": ("riscv64", 0xC000_00F3),
    "SCMP_ARCH_LOONGARCH64": ("loongarch64", 0xC000_0102),
    "SCMP_ARCH_M68K": ("m68k", 0x0000_0004),
    "SCMP_ARCH_SH": ("sh", 0x4000_002A),
    "SCMP_ARCH_SHEB": ("sheb", 0x0000_002A),
}
_X32_BIT = 0x4000_0000


_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_ATTRIBUTE_NNP, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE = 3, 8, 2
_MANY = 8  # rules from which a binary search beats a list

_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter: code, jt, jf, k
_LOAD, _JEQ, _JGT, _JGE, _RETURN, _JUMP = 0x20, 0x15, 0x25, 0x35, 0x06, 0x05
_OFFSET_NR, _OFFSET_ARCH = 0, 4  # struct seccomp_data


class _Compare(ctypes.Structure):
    """struct scmp_arg_cmp of seccomp.h."""

    _fields_ = (("arg", c_uint), ("op", c_int), ("a", c_uint64), ("b", c_uint64))


_PROTOTYPES: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("seccomp_init", c_void_p, (c_uint32,)),
    ("seccomp_release", None, (c_void_p,)),
    ("seccomp_attr_set", c_int, (c_void_p, c_int, c_uint32)),
    ("seccomp_arch_resolve_name", c_uint32, (c_char_p,)),
    ("seccomp_arch_add", c_int, (c_void_p, c_uint32)),
    ("seccomp_syscall_resolve_name", c_int, (c_char_p,)),
    ("seccomp_syscall_resolve_name_arch", c_int, (c_uint32, c_char_p)),
    ("seccomp_rule_add_array", c_int, (c_void_p, c_uint32, c_int, c_uint, c_void_p)),
    ("seccomp_export_bpf", c_int, (c_void_p, c_int)),
)


def _load() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise LibseccompMissing(
            "seccomp needs libseccomp.so.2: install the package libseccomp2"
        ) from error
    for name, result, arguments in _PROTOTYPES:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def version() -> str:
    """`2.5.4`; empty where the library is not installed."""
    try:
        function = ctypes.CDLL("libseccomp.so.2").seccomp_version
    except OSError:
        return ""
    function.restype = ctypes.POINTER(c_uint * 3)
    return ".".join(map(str, function().contents))


def compile(profile: dict[str, Any]) -> bytes:
    """The whole program: stub, then libseccomp's. Raises InvalidProfile, LibseccompMissing."""
    lib = _load()
    default = action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
    architectures = [_look_up(ARCHITECTURES, a, "architecture") for a in _architectures(profile)]
    context = lib.seccomp_init(default)
    try:
        _check(lib.seccomp_attr_set(context, _ATTRIBUTE_NNP, 0), "cannot unset no_new_privs")
        for name, _ in architectures:
            token = lib.seccomp_arch_resolve_name(name.encode())
            _check(lib.seccomp_arch_add(context, token), f"architecture {name}", errno.EEXIST)
        entries = profile.get("syscalls") or []
        if sum(len(entry["names"]) for entry in entries) > _MANY:
            lib.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)  # libseccomp ≥ 2.5
        for entry in entries:
            _add(lib, context, entry, default)
        body = _export(lib, context)
    finally:
        lib.seccomp_release(context)
    if default in (_ALLOW, _LOG, _ERRNO | errno.ENOSYS) or default & 0xFFFF_0000 == _TRACE:
        return body
    return stub(_newest(lib, architectures, entries)) + body


def _architectures(profile: dict[str, Any]) -> list[str]:
    """Those of the profile and always the native one (libseccomp filters it anyway)."""
    names = list(profile.get("architectures") or ())
    native = _NATIVE.get(os.uname().machine)
    return [*names, native] if native and native not in names else names


def action(name: str | None, errno_ret: int | None) -> int:
    """libseccomp's number of an OCI action; errnoRet is for ERRNO and TRACE, default EPERM."""
    value: int = _look_up(ACTIONS, name, "action")
    if value in _WITH_DATA:
        return value | (errno.EPERM if errno_ret is None else errno_ret)
    if errno_ret is not None:
        raise InvalidProfile(f"seccomp: {name} takes no errnoRet, got {errno_ret}")
    return value


def _add(lib: ctypes.CDLL, context: int, entry: dict[str, Any], default: int) -> None:
    wanted = action(entry.get("action"), entry.get("errnoRet"))
    if wanted == default:
        return  # libseccomp refuses rules that change nothing
    rules = list(_conditions(entry.get("args") or ()))
    for name in entry["names"]:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            continue
        for conditions in rules:
            compares = (_Compare * len(conditions))(*[_Compare(*c) for c in conditions])
            result = lib.seccomp_rule_add_array(
                context, wanted, number, len(conditions), ctypes.addressof(compares)
            )
            _check(result, f"rule for {name}", errno.EEXIST)


def _conditions(arguments: Iterable[dict[str, Any]]) -> Iterator[list[tuple[int, int, int, int]]]:
    """All conditions in one rule; with an index named twice one rule each, as runc reads it."""
    compares = [
        (
            argument["index"],
            _look_up(OPERATORS, argument.get("op"), "operator"),
            argument.get("value", 0),
            argument.get("valueTwo", 0),
        )
        for argument in arguments
    ]
    if len({compare[0] for compare in compares}) == len(compares):
        yield compares
    else:
        yield from ([compare] for compare in compares)


def _export(lib: ctypes.CDLL, context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(lib.seccomp_export_bpf(context, fd), "cannot export the filter")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _newest(
    lib: ctypes.CDLL, architectures: list[tuple[str, int]], entries: list[dict[str, Any]]
) -> dict[int, dict[bool, int]]:
    """AUDIT_ARCH → is x32 → the largest system call number that the profile names."""
    newest: dict[int, dict[bool, int]] = {}
    names = {name.encode() for entry in entries for name in entry["names"]}
    for name, audit in architectures:
        token = lib.seccomp_arch_resolve_name(name.encode())
        numbers = (lib.seccomp_syscall_resolve_name_arch(token, n) for n in names)
        # Negative: unknown, or not on this architecture.
        newest.setdefault(audit, {})[name == "x32"] = max((n for n in numbers if n >= 0), default=0)
    return newest


def stub(newest: dict[int, dict[bool, int]]) -> bytes:
    """BPF that returns ENOSYS above the newest number of each architecture, else falls through."""
    blocks = [_block(audit, limits) for audit, limits in newest.items()]
    code = [_INSTRUCTION.pack(_LOAD, 0, 0, _OFFSET_ARCH)]
    left = sum(map(len, blocks))
    for block in blocks:
        left -= len(block)
        # The last instruction of a block leaves the stub.
        code += [*block[:-1], _INSTRUCTION.pack(_JUMP, 0, 0, left)]
    return b"".join(code)


def _block(audit: int, limits: dict[bool, int]) -> list[bytes]:
    pack = _INSTRUCTION.pack
    refuse = pack(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    code = []
    if audit == ARCHITECTURES["SCMP_ARCH_X86_64"][1]:
        if True in limits:
            code += [pack(_JGT, 0, 1, limits[True] | _X32_BIT), refuse]
        # Numbers with the x32 bit are past the x86_64 test.
        skip = 2 if False in limits else 0
        code.append(pack(_JGE, skip, 0, _X32_BIT))
    if False in limits:
        code += [pack(_JGT, 0, 1, limits[False]), refuse]
    code = [pack(_LOAD, 0, 0, _OFFSET_NR), *code, b""]
    return [pack(_JEQ, 0, len(code), audit), *code]


def _check(result: int, what: str, *ignored: int) -> None:
    if result < 0 and -result not in ignored:
        raise InvalidProfile(f"seccomp: {what}: {os.strerror(-result)}")


def _look_up(table: dict[str, Any], name: str | None, what: str) -> Any:
    try:
        return table[name or ""]
    except KeyError:
        raise InvalidProfile(f"seccomp: unknown {what} {name!r}") from None
