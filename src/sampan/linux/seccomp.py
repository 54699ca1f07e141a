"""seccomp(2): OCI profiles compiled to classic BPF by libseccomp, and the loading of programs.

    program = compile(profile)      the array of struct sock_filter, about 10 ms; remembered
    load(program)                   in the process that is to be confined, nothing imported any more

Compiling and loading are apart because they happen in different processes: the warm one compiles,
the one between fork and exec only makes the system call.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from ctypes import c_char_p, c_int, c_uint32, c_uint64, c_ulong, c_void_p

from sampan.kit import errors
from sampan.linux import _libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_LETS_THROUGH = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
OPERATORS = {
    f"SCMP_CMP_{name}": number
    for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)
}
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_EPERM, _ENOSYS = 1, 38
_X32_BIT = 0x40000000
_ATTRIBUTE_NNP, _ATTRIBUTE_OPTIMIZE = 3, 8  # SCMP_FLTATR_CTL_NNP, …_CTL_OPTIMIZE
_prctl = _libc.function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_seccomp = _libc.system_call("seccomp", 317, c_int, c_int, c_void_p)


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", c_uint32), ("op", c_int), ("a", c_uint64), ("b", c_uint64))


class Program(bytes):
    """Instructions, eight bytes each, with the flags of seccomp(2) they are to be loaded with."""

    flags: int = 0


_compiled: dict[str, Program] = {}
_library: Any = None


def compile(profile: dict[str, Any], cache: str | None = None) -> Program:
    """`linux.seccomp` of an OCI config.json as a BPF program.

    Names that this libseccomp does not know are left out, as runc does; a call newer than all the
    profile names answers ENOSYS instead of the default errno, so that programs fall back to older
    ones. `cache` is a directory in which programs are kept. Raises InvalidArgument for what is no
    profile, Unsupported without libseccomp.
    """
    key = json.dumps(profile, sort_keys=True, separators=(",", ":"))
    if key not in _compiled:
        code = _cached(cache, key) if cache else _compile(profile)
        program = Program(code)
        program.flags = sum(_flag(name) for name in profile.get("flags") or [])
        _compiled[key] = program
    return _compiled[key]


def load(program: bytes, flags: int | None = None) -> None:
    """Confine this thread from now on. Needs no_new_privs or CAP_SYS_ADMIN."""
    buffer = ctypes.create_string_buffer(bytes(program), len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))  # sock_fprog
    argument = ctypes.create_string_buffer(header, len(header))
    wanted = flags if flags is not None else getattr(program, "flags", 0)
    _seccomp(1, wanted, ctypes.addressof(argument))  # SECCOMP_SET_MODE_FILTER


def _flag(name: str) -> int:
    try:
        return FLAGS[name]
    except KeyError:
        raise errors.InvalidArgument(f"linux.seccomp.flags: {name!r} is no seccomp flag") from None


def _cached(directory: str, key: str) -> bytes:
    import hashlib

    from sampan.kit import atomic

    path = f"{directory}/{hashlib.sha256(key.encode()).hexdigest()}.bpf"
    try:
        with open(path, "rb") as file:
            code = file.read()
        if code and len(code) % 8 == 0:
            return code
    except FileNotFoundError:
        pass
    code = _compile(json.loads(key))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        atomic.write(path, code, sync=False)
    except OSError:
        pass  # the next one compiles again
    return code


def _lib() -> Any:
    global _library
    if _library is None:
        try:
            library = ctypes.CDLL("libseccomp.so.2")
        except OSError as error:
            raise errors.Unsupported(
                "libseccomp.so.2 is not installed; install the package libseccomp2"
            ) from error
        library.seccomp_init.restype = c_void_p
        library.seccomp_init.argtypes = (c_uint32,)
        library.seccomp_release.argtypes = (c_void_p,)
        library.seccomp_attr_set.argtypes = (c_void_p, c_int, c_uint32)
        library.seccomp_arch_native.restype = c_uint32
        library.seccomp_arch_resolve_name.restype = c_uint32
        library.seccomp_arch_resolve_name.argtypes = (c_char_p,)
        library.seccomp_arch_add.argtypes = (c_void_p, c_uint32)
        library.seccomp_syscall_resolve_name.argtypes = (c_char_p,)
        library.seccomp_syscall_resolve_name_arch.argtypes = (c_uint32, c_char_p)
        library.seccomp_rule_add_array.argtypes = (c_void_p, c_uint32, c_int, c_uint32, c_void_p)
        library.seccomp_export_bpf.argtypes = (c_void_p, c_int)
        _library = library
    return _library


def _compile(profile: dict[str, Any]) -> bytes:
    library = _lib()
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"), "linux.seccomp")
    context = library.seccomp_init(default)
    if not context:
        raise errors.InvalidArgument("linux.seccomp.defaultAction is not supported by libseccomp")
    try:
        architectures = _add_architectures(context, profile.get("architectures") or [])
        library.seccomp_attr_set(context, _ATTRIBUTE_NNP, 0)
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, 2)
        for position, rule in enumerate(profile.get("syscalls") or []):
            _add_rule(context, rule, default, f"linux.seccomp.syscalls[{position}]")
        code = _export(context)
    finally:
        library.seccomp_release(context)
    if profile.get("defaultAction") in _LETS_THROUGH:
        return code
    return _enosys_stub(_newest(profile, architectures)) + code


def _add_architectures(context: Any, names: list[str]) -> list[int]:
    library = _lib()
    found = [library.seccomp_arch_native()]
    for name in names:
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        if token == 0:
            raise errors.InvalidArgument(f"linux.seccomp.architectures: {name!r} is not known")
        if library.seccomp_arch_add(context, token) == 0:  # -EEXIST for the native one
            found.append(token)
    return found


def _action(name: object, errno: object, where: str) -> int:
    if name not in ACTIONS:
        raise errors.InvalidArgument(f"{where}: {name!r} is no seccomp action")
    if name not in _WITH_ERRNO:
        if errno:
            raise errors.InvalidArgument(f"{where}: {name} takes no errnoRet")
        return ACTIONS[str(name)]
    return ACTIONS[str(name)] | (_EPERM if errno is None else int(str(errno)) & 0xFFFF)


def _add_rule(context: Any, rule: dict[str, Any], default: int, where: str) -> None:
    action = _action(rule.get("action"), rule.get("errnoRet"), where)
    if action == default:
        return  # libseccomp refuses what changes nothing
    alternatives = _comparisons(rule.get("args") or [], where)
    for name in rule.get("names") or []:
        if rule.get("action") == "SCMP_ACT_NOTIFY" and name == "write":
            raise errors.InvalidArgument(f"{where}: SCMP_ACT_NOTIFY cannot be used for write")
        number = _lib().seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # __NR_SCMP_ERROR: a call this libseccomp has never heard of
            continue
        for comparisons in alternatives:
            array = (_Comparison * len(comparisons))(*comparisons)
            code = _lib().seccomp_rule_add_array(context, action, number, len(comparisons), array)
            if code < 0:
                raise errors.InvalidArgument(f"{where}: {name}: {os.strerror(-code)}")


def _comparisons(arguments: list[dict[str, Any]], where: str) -> list[list[_Comparison]]:
    """All of them together; where one argument is tested twice, each alone (as runc reads it)."""
    made = []
    for argument in arguments:
        if argument.get("op") not in OPERATORS:
            raise errors.InvalidArgument(f"{where}.args: {argument.get('op')!r} is no operator")
        if not 0 <= argument["index"] <= 5:
            raise errors.InvalidArgument(f"{where}.args: index {argument['index']} is not 0 to 5")
        operator, value = OPERATORS[argument["op"]], argument.get("value", 0)
        second = argument.get("valueTwo", 0)
        made.append(_Comparison(argument["index"], operator, value, second))
    if len({comparison.arg for comparison in made}) < len(made):
        return [[comparison] for comparison in made]
    return [made]


def _export(context: Any) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        code = _lib().seccomp_export_bpf(context, fd)
        if code < 0:
            raise errors.InvalidArgument(f"linux.seccomp: {os.strerror(-code)}")
        return os.pread(fd, os.lseek(fd, 0, os.SEEK_END), 0)
    finally:
        os.close(fd)


def _newest(profile: dict[str, Any], architectures: list[int]) -> dict[int, int]:
    """Architecture → the largest number among the calls that the profile names."""
    names = {name for rule in profile.get("syscalls") or [] for name in rule.get("names") or []}
    resolve = _lib().seccomp_syscall_resolve_name_arch
    newest = {}
    for token in architectures:
        numbers = [number for name in names if (number := resolve(token, name.encode())) >= 0]
        if numbers:
            newest[token] = max(numbers)
    return newest


def _enosys_stub(newest: dict[int, int]) -> bytes:
    """Instructions put before the filter: ENOSYS for a number beyond an architecture's newest.

    x32 shares x86-64's audit architecture and sets bit 30 of the number (seccomp(2), notes).
    """
    code = [_instruction(0x20, 0, 0, 4)]  # A = seccomp_data.arch
    refuse = _instruction(0x06, 0, 0, ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS)
    for audit in sorted({_audit(token) for token in newest}):
        limits = sorted(limit for token, limit in newest.items() if _audit(token) == audit)
        if limits[-1] >= _X32_BIT and len(limits) == 2:
            block = _two_limits(limits[0], limits[1], refuse)
        else:
            block = _one_limit(limits[0], refuse)
        block.append(_instruction(0x20, 0, 0, 4))  # the next test wants the architecture again
        code += [_instruction(0x15, 0, len(block), audit), *block]
    return b"".join(code)


def _one_limit(newest: int, refuse: bytes) -> list[bytes]:
    return [
        _instruction(0x20, 0, 0, 0),  # A = seccomp_data.nr
        _instruction(0x35, 2, 0, _X32_BIT),  # x32's numbers are left to the filter
        _instruction(0x25, 0, 1, newest),
        refuse,
    ]


def _two_limits(plain: int, x32: int, refuse: bytes) -> list[bytes]:
    return [
        _instruction(0x20, 0, 0, 0),
        _instruction(0x35, 2, 0, _X32_BIT),  # to x32's own limit
        _instruction(0x25, 2, 0, plain),  # too new: to the refusal
        _instruction(0x05, 0, 0, 2),  # known: past it
        _instruction(0x25, 0, 1, x32),
        refuse,
    ]


def _audit(token: int) -> int:
    """x32's token differs from its audit architecture, which is x86-64's."""
    return 0xC000003E if token == 0x4000003E else token


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value & 0xFFFFFFFF)
