"""`info --diagnose`: what this host has of what the engine can use, and what its lack costs.

Each ability is probed as the room that uses it does, or by what the kernel says of itself.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import cgroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.engine.engine import Engine

_LITTLE = 1 << 30  # bytes of a disk that is about to be full


class Finding(Record):
    name: str
    good: bool
    detail: str  # what there is, or what its lack costs and how to have it


def examine(engine: Engine) -> list[Finding]:
    """Blocking: call in a thread."""
    return [
        _root(engine),
        *(_space(place) for place in (engine.paths.root, engine.paths.run)),
        _cgroups(),
        _snapshots(engine),
        _seccomp(),
        _user_namespaces(),
        *(_program(*row) for row in _PROGRAMS),
        _file("IPv4 forwarding", "/proc/sys/net/ipv4/ip_forward", _forwards),
        _file("inotify instances", "/proc/sys/fs/inotify/max_user_instances", _inotify),
    ]


_PROGRAMS = (
    ("nft", "nftables: published ports and networks need it (apt install nftables)"),
    ("mkfs.ext4", "volumes and layers of a bounded size need it (apt install e2fsprogs)"),
    ("ps", "`top` needs it (apt install procps)"),
    ("mmdebstrap", "`image bootstrap debian:…` needs it (apt install mmdebstrap)"),
)


def _root(engine: Engine) -> Finding:
    good = os.geteuid() == 0
    return Finding(name="root", good=good, detail="yes" if good else "the engine needs root")


def _space(place: str) -> Finding:
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    few = found.f_files and not found.f_favail
    lack = "no inodes are left" if few else f"{free >> 20} MB are left"
    return Finding(name=f"space in {place}", good=free >= _LITTLE and not few, detail=lack)


def _cgroups() -> Finding:
    try:
        paths = cgroup.manager("/sampan-diagnosis").paths()
    except (errors.SampanError, OSError) as error:
        return Finding(name="cgroups", good=False, detail=str(error))
    if set(paths) == {""}:
        return Finding(name="cgroups", good=True, detail="v2")
    missing = [c for c in ("memory", "cpu", "pids", "freezer") if c not in paths]
    lack = f"v1 without {', '.join(missing)}: those limits are refused"
    kind = "hybrid" if "" in paths else "v1"
    return Finding(name="cgroups", good=not missing, detail=lack if missing else kind)


def _snapshots(engine: Engine) -> Finding:
    kind = engine.snapshots
    return Finding(name="snapshots", good=kind.name != "native", detail=f"{kind.name}: {kind.why}")


def _seccomp() -> Finding:
    from sampan.linux import seccomp

    try:
        seccomp.compile({"defaultAction": "SCMP_ACT_ALLOW"})
    except (errors.SampanError, OSError) as error:
        return Finding(name="seccomp", good=False, detail=str(error))
    return Finding(name="seccomp", good=True, detail="filters can be made")


def _user_namespaces() -> Finding:
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    there = os.path.exists("/proc/self/ns/user")
    good = there and release >= (6, 15)
    lack = "userns-remap needs Linux 6.15 for mapped layers" if there else "the kernel has none"
    return Finding(name="user namespaces", good=good, detail="with mapped layers" if good else lack)


def _program(name: str, need: str) -> Finding:
    path = shutil.which(name)
    return Finding(name=name, good=path is not None, detail=path or need)


def _file(name: str, path: str, judge: Callable[[int], tuple[bool, str]]) -> Finding:
    try:
        with open(path) as file:
            good, detail = judge(int(file.read()))
    except (OSError, ValueError) as error:
        good, detail = False, f"{path}: {error}"
    return Finding(name=name, good=good, detail=detail)


def _forwards(value: int) -> tuple[bool, str]:
    return bool(value), "on" if value else "off: containers do not reach other hosts"


def _inotify(value: int) -> tuple[bool, str]:
    lack = f"{value}: `logs --follow` of many containers needs more (sysctl)"
    return value >= 128, str(value) if value >= 128 else lack
