"""`unified`: cgroup v2 files by their own names, for limits the spec has no field for."""

from __future__ import annotations

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import ControllerMissing, InvalidLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, values: dict[str, str]) -> None:
    for file, text in values.items():
        controller = file.partition(".")[0]
        if "/" in file or "." not in file:
            raise InvalidLimit(f"unified: {file!r} is not the name of a cgroup file")
        if not tree.unified:
            raise ControllerMissing(
                controller,
                f"invalid configuration: unified: {file} needs cgroup v2, this host has v1",
            )
        if controller != "cgroup" and not tree.v2(controller):
            why = f" ({controller} is in v1 on this host)" if tree.v1(controller) else ""
            raise ControllerMissing(
                controller,
                f"invalid configuration: unified: {file} needs the {controller} controller "
                f"in cgroup v2, where it is not enabled{why}",
            )
        for line in text.splitlines():
            files.set_limit(tree.unified, file, line)
