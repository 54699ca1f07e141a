"""The pids controller: how many tasks (both dialects have the same files)."""

from __future__ import annotations

from sampan.linux.cgroup import files
from sampan.linux.cgroup.stats import Pids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, pids: dict[str, Any]) -> None:
    """`{"limit": N}`; less than 0 means no limit.

    0 is a limit (runtime-spec 1.2.1), and becomes 1: so it is with systemd and with runc. It is
    equal for who is inside already, and lets one process in.
    """
    limit = pids.get("limit")
    if limit is None:
        return
    limit = limit or 1
    directory = tree.v1("pids") or tree.v2("pids")
    if directory is None:
        if limit < 0:
            return
        raise tree.missing("pids", f"a limit of {limit} processes")
    files.set_limit(directory, "pids.max", limit if limit > 0 else "max")


def stats(tree: Tree) -> Pids:
    directory = tree.v1("pids") or tree.unified
    if not directory:
        return Pids()
    return Pids(
        current=files.number(f"{directory}/pids.current"),
        limit=files.limit(f"{directory}/pids.max"),
    )
