"""The hugetlb controller: huge pages, by page size."""

from __future__ import annotations

import os

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import InvalidLimit
from sampan.linux.cgroup.stats import Hugetlb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree


def apply(tree: Tree, limits: list[dict[str, Any]]) -> None:
    """`[{"pageSize": "2MB", "limit": bytes}]`; reservations alike where the kernel can."""
    for number, entry in enumerate(limits):
        for key in ("pageSize", "limit"):
            if key not in entry:
                raise InvalidLimit(f"hugepageLimits[{number}].{key}: is missing")
        size, limit = entry["pageSize"], entry["limit"]
        if directory := tree.v1("hugetlb"):
            file = "limit_in_bytes"
        elif directory := tree.v2("hugetlb"):
            file = "max"
        else:
            raise tree.missing("hugetlb", f"a limit of {limit} bytes in {size} huge pages")
        files.set_limit(directory, f"hugetlb.{size}.{file}", limit)
        if files.exists(f"{directory}/hugetlb.{size}.rsvd.{file}"):
            files.set_limit(directory, f"hugetlb.{size}.rsvd.{file}", limit)


def stats(tree: Tree) -> dict[str, Hugetlb]:
    v1 = tree.v1("hugetlb")
    directory = v1 or tree.unified
    if not directory:
        return {}
    suffix = "usage_in_bytes" if v1 else "current"
    found = {}
    for name in os.listdir(directory):
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "hugetlb" and parts[2] == suffix:
            found[parts[1]] = _one(f"{directory}/hugetlb.{parts[1]}", bool(v1))
    return found


def _one(prefix: str, v1: bool) -> Hugetlb:
    if not v1:
        failcnt = files.flat(f"{prefix}.events").get("max", 0)
        return Hugetlb(usage=files.number(f"{prefix}.current"), failcnt=failcnt)
    return Hugetlb(
        usage=files.number(f"{prefix}.usage_in_bytes"),
        max_usage=files.number(f"{prefix}.max_usage_in_bytes"),
        failcnt=files.number(f"{prefix}.failcnt"),
    )
