"""Programs of other machines: whether the kernel runs an ELF file of an architecture here.

`runs("arm64")` is true for the host's own, for what its kernel knows beside that (386 on amd64),
and for what an interpreter is registered for. Source: kernel admin-guide/binfmt-misc.rst, elf(5).
"""

from __future__ import annotations

import os
import struct

_REGISTERED = "/proc/sys/fs/binfmt_misc"
_OWN = {
    "x86_64": ("amd64", "386"),
    "aarch64": ("arm64",),
    "armv7l": ("arm",),
    "i686": ("386",),
}
# e_machine, 64 bits, little endian; what GOARCH and the OCI call each.
_MACHINES = {
    "amd64": (62, True, True),
    "386": (3, False, True),
    "arm64": (183, True, True),
    "arm": (40, False, True),
    "riscv64": (243, True, True),
    "ppc64le": (21, True, True),
    "s390x": (22, True, False),
    "mips64le": (8, True, True),
    "mips64": (8, True, False),
    "loong64": (258, True, True),
}


def runs(architecture: str, registered: str = _REGISTERED) -> bool:
    machine = os.uname().machine
    if architecture in _OWN.get(machine, (machine,)):
        return True
    if architecture not in _MACHINES:
        return False
    header = _header(*_MACHINES[architecture])
    return any(_matches(entry, header) for entry in _entries(registered))


def _header(machine: int, wide: bool, little: bool) -> bytes:
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if little else 2, 1)) + bytes(9)
    executable, version = 2, 1
    return ident + struct.pack("<HHI" if little else ">HHI", executable, machine, version)


def _entries(directory: str) -> list[dict[str, str]]:
    found = []
    try:
        names = [name for name in os.listdir(directory) if name not in ("register", "status")]
    except OSError:
        return []  # nothing is mounted there
    for name in names:
        try:
            with open(f"{directory}/{name}") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        if lines[:1] == ["enabled"]:
            found.append(dict(line.partition(" ")[::2] for line in lines[1:]))
    return found


def _matches(entry: dict[str, str], header: bytes) -> bool:
    try:
        magic, offset = bytes.fromhex(entry["magic"]), int(entry.get("offset") or 0)
        mask = bytes.fromhex(entry["mask"]) if "mask" in entry else b"\xff" * len(magic)
    except (KeyError, ValueError):
        return False
    part = header[offset : offset + len(magic)].ljust(len(magic), b"\0")
    return all(p & m == g & m for p, g, m in zip(part, magic, mask, strict=True))
