"""net_cls and net_prio: traffic class and interface priorities. v1 only (v2 has eBPF for it)."""

from __future__ import annotations

from sampan.linux.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, network: dict[str, Any]) -> None:
    if class_id := network.get("classID"):
        directory = tree.v1("net_cls")
        if directory is None:
            raise tree.missing("net_cls", f"network class {class_id}")
        files.set_limit(directory, "net_cls.classid", class_id)
    for entry in network.get("priorities") or ():
        directory = tree.v1("net_prio")
        text = f"{entry['name']} {entry['priority']}"
        if directory is None:
            raise tree.missing("net_prio", f"network priority {text}")
        files.set_limit(directory, "net_prio.ifpriomap", text)
