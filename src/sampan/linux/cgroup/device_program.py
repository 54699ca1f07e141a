"""Device rules as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE, through bpf(2).

The program gets a `struct bpf_cgroup_dev_ctx` {access << 16 | type, major, minor} and returns 1
to allow. It is one compare chain per exception; the first that matches decides, the default
comes last.
"""

from __future__ import annotations

import array
import ctypes
import os
import struct
from ctypes import c_int, c_uint, c_void_p

from sampan.linux import _libc
from sampan.linux.cgroup.errors import ControllerMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.linux.cgroup.device_rules import State

_bpf = _libc.system_call("bpf", 321, c_int, c_void_p, c_uint)
_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_F_ALLOW_MULTI, _F_REPLACE = 2, 4
_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

_INSTRUCTION = struct.Struct("<BBhi")  # opcode, registers (src << 4 | dst), offset, immediate
_LOAD32, _AND32, _RSH32 = 0x61, 0x54, 0x74
_MOV64_IMM, _MOV32_REG, _JNE_IMM, _JNE32_REG, _JEQ_IMM, _EXIT = 0xB7, 0xBC, 0x55, 0x5E, 0x15, 0x95


def compile(state: State) -> bytes:
    """The program for a state, ready for BPF_PROG_LOAD."""
    code = [
        _i(_LOAD32, 2, 1, 0),  # r2 = type, r3 = access, r4 = major, r5 = minor
        _i(_MOV32_REG, 3, 2),
        _i(_AND32, 2, imm=0xFFFF),
        _i(_RSH32, 3, imm=16),
        _i(_LOAD32, 4, 1, 4),
        _i(_LOAD32, 5, 1, 8),
    ]
    for key, access in state.exceptions.items():
        code += _exception(key, access, allow=not state.default_allow)
    code += [_i(_MOV64_IMM, 0, imm=int(state.default_allow)), _i(_EXIT)]
    return b"".join(code)


def _exception(key: tuple[str, str, str], access: str, *, allow: bool) -> list[bytes]:
    """Jumps over its own end where the device or the access is another one."""
    tests: list[tuple[int, int, int, int]] = [(_JNE_IMM, 2, 0, _TYPES[key[0]])]
    tests += [(_JNE_IMM, r, 0, int(n)) for r, n in ((4, key[1]), (5, key[2])) if n != "*"]
    bits = sum(_ACCESS[c] for c in access)
    code: list[tuple[int, int, int, int]] = list(tests)
    if bits != 7:
        # r6 = access & bits; allow covers all that is asked, deny any of it.
        code += [(_MOV32_REG, 6, 3, 0), (_AND32, 6, 0, bits)]
        code.append((_JNE32_REG, 6, 3, 0) if allow else (_JEQ_IMM, 6, 0, 0))
    code += [(_MOV64_IMM, 0, 0, int(allow)), (_EXIT, 0, 0, 0)]
    jumps = (_JNE_IMM, _JNE32_REG, _JEQ_IMM)
    return [
        _i(op, dst, src, len(code) - at - 1 if op in jumps else 0, imm)
        for at, (op, dst, src, imm) in enumerate(code)
    ]


def _i(op: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    if imm > 0x7FFF_FFFF:
        imm -= 1 << 32
    return _INSTRUCTION.pack(op, src << 4 | dst, offset, imm)


def replace(cgroup_fd: int, program: bytes) -> None:
    """Attach the program and take away the ones before it; at no moment is there none."""
    old = _query(cgroup_fd)
    new = _load(program)
    try:
        if len(old) == 1:
            old_fd = _program_fd(old[0])
            try:
                _call(
                    _PROG_ATTACH,
                    struct.pack(
                        "=IIIII",
                        cgroup_fd,
                        new,
                        _ATTACH_CGROUP_DEVICE,
                        _F_ALLOW_MULTI | _F_REPLACE,
                        old_fd,
                    ),
                )
            finally:
                os.close(old_fd)
            return
        _call(
            _PROG_ATTACH,
            struct.pack("=IIII", cgroup_fd, new, _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI),
        )
        for number in old:
            _detach(cgroup_fd, number)
    finally:
        os.close(new)


def _load(program: bytes) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache")
    attributes = struct.pack(
        "=IIQQIIQII",
        _TYPE_CGROUP_DEVICE,
        len(program) // _INSTRUCTION.size,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0, 0, 0, 0, 0,
    )  # fmt: skip
    try:
        return _call(_PROG_LOAD, attributes)
    except OSError as error:
        message = (
            f"device rules on cgroup v2 need bpf(2), which this host refuses: {error.strerror}"
        )
        raise ControllerMissing("devices", message) from error


def _query(cgroup_fd: int) -> list[int]:
    """Ids of the device programs attached to this cgroup itself (at most 64 fit a cgroup)."""
    ids = array.array("I", bytes(4 * 64))
    address, _ = ids.buffer_info()
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIIIQII", cgroup_fd, _ATTACH_CGROUP_DEVICE, 0, 0, address, len(ids), 0), 64
    )
    _bpf(_PROG_QUERY, attributes, len(attributes))
    (count,) = struct.unpack_from("=I", attributes, 24)
    return list(ids[:count])


def _program_fd(number: int) -> int:
    return _call(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))


def _detach(cgroup_fd: int, number: int) -> None:
    fd = _program_fd(number)
    try:
        _call(_PROG_DETACH, struct.pack("=IIII", cgroup_fd, fd, _ATTACH_CGROUP_DEVICE, 0))
    finally:
        os.close(fd)


def _call(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 64))
    return _bpf(command, buffer, len(buffer))
