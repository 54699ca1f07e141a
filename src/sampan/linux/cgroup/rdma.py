"""The rdma controller: handles and objects of each RDMA device (one file in both dialects)."""

from __future__ import annotations

from sampan.linux.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, devices: dict[str, dict[str, Any]]) -> None:
    """`{"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}}`."""
    for name, limits in devices.items():
        directory = tree.v1("rdma") or tree.v2("rdma")
        if directory is None:
            raise tree.missing("rdma", f"a limit on the RDMA device {name}")
        files.set_limit(directory, "rdma.max", line(name, limits))


def line(name: str, limits: dict[str, Any]) -> str:
    words = [name]
    for key, word in (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")):
        if (value := limits.get(key)) is not None:
            words.append(f"{word}={value}")
    return " ".join(words)
