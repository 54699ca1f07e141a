"""Which devices may be opened and made: the devices controller on v1, an eBPF program on v2."""

from __future__ import annotations

import os

from sampan.linux.cgroup import device_rules, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.device_rules import State
    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, rules: list[dict[str, Any]]) -> None:
    """Bring the cgroup to what the rules (in order, OCI form) come to."""
    wanted = device_rules.emulate(rules)
    if directory := tree.v1("devices"):
        current = device_rules.parse(files.read(f"{directory}/devices.list"))
        for file, text in transition(current, wanted):
            files.set_limit(directory, file, text)
    elif tree.unified:
        _attach(tree.unified, wanted)
    elif not wanted.default_allow or wanted.exceptions:
        raise tree.missing("devices", "a device rule")


def transition(current: State, wanted: State) -> list[tuple[str, str]]:
    """The writes from one state to the other, never taking away what both allow.

    "a" clears all exceptions, so it is written only when the default changes; the kernel refuses
    it (EINVAL) for a cgroup that has children. Exceptions of a default-allow state cannot be read
    back.
    """
    writes = []
    have = current.exceptions
    if current.default_allow or wanted.default_allow:
        if current.default_allow != wanted.default_allow or current.exceptions:
            writes.append(("devices.allow" if wanted.default_allow else "devices.deny", "a"))
        have = {}
    add, remove = (
        ("devices.deny", "devices.allow")
        if wanted.default_allow
        else ("devices.allow", "devices.deny")
    )
    for key, access in wanted.exceptions.items():
        if more := _minus(access, have.get(key, "")):
            writes.append((add, _line(key, more)))
    for key, access in have.items():
        if less := _minus(access, wanted.exceptions.get(key, "")):
            writes.append((remove, _line(key, less)))
    return writes


def _minus(access: str, other: str) -> str:
    return "".join(c for c in access if c not in other)


def _line(key: tuple[str, str, str], access: str) -> str:
    return f"{key[0]} {key[1]}:{key[2]} {access}"


def _attach(directory: str, wanted: State) -> None:
    from sampan.linux.cgroup import device_program

    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        device_program.replace(fd, device_program.compile(wanted))
    finally:
        os.close(fd)
