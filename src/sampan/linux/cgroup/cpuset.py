"""The cpuset controller: which processors and memory nodes."""

from __future__ import annotations

import os

from sampan.linux.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, cpu: dict[str, Any]) -> None:
    """`cpus` and `mems` of the cpu section, as lists like "0-2,7"."""
    for key in ("cpus", "mems"):
        if value := cpu.get(key):
            directory = tree.v1("cpuset") or tree.v2("cpuset")
            if directory is None:
                raise tree.missing("cpuset", f"{key} {value}")
            files.set_limit(directory, f"cpuset.{key}", value)


def inherit(directory: str) -> None:
    """v1: a new cpuset is empty and takes no process until it has its parent's values."""
    parent = os.path.dirname(directory)
    for file in ("cpuset.cpus", "cpuset.mems"):
        value = files.read(f"{parent}/{file}")
        if not value.strip():
            inherit(parent)
            value = files.read(f"{parent}/{file}")
        if not files.read(f"{directory}/{file}").strip():
            files.write(f"{directory}/{file}", value)
