"""Limits and devices: HostConfig's resources as the runtime specification writes them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.spec import docker_defaults

if TYPE_CHECKING:
    from collections.abc import Iterator

PERIOD = 100_000  # µs; --cpus is a quota of this


def resources(host: dict[str, Any], *, privileged: bool = False) -> dict[str, Any]:
    """`linux.resources`: only what was asked for, and the rules for devices."""
    found = {
        "memory": memory(host),
        "cpu": cpu(host),
        "blockIO": block_io(host),
        "pids": {"limit": host["PidsLimit"]} if (host.get("PidsLimit") or 0) > 0 else {},
    }
    limits = {name: value for name, value in found.items() if value}
    return {**limits, "devices": _device_rules(host, privileged=privileged)}


def memory(host: dict[str, Any]) -> dict[str, Any]:
    """Bytes."""
    limit, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    found: dict[str, Any] = {}
    if limit:
        found["limit"] = limit
        found["swap"] = swap or 2 * limit
    elif swap == -1:
        found["swap"] = -1
    for name, key in (("reservation", "MemoryReservation"), ("kernel", "KernelMemory")):
        if host.get(key):
            found[name] = host[key]
    swappiness = host.get("MemorySwappiness")
    if swappiness is not None and swappiness != -1:
        found["swappiness"] = swappiness
    if host.get("OomKillDisable"):
        found["disableOOMKiller"] = True
    return found


def cpu(host: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if host.get("NanoCpus"):
        found["period"] = PERIOD
        found["quota"] = host["NanoCpus"] * PERIOD // 1_000_000_000
    for name, key in (
        ("shares", "CpuShares"),
        ("quota", "CpuQuota"),
        ("period", "CpuPeriod"),
        ("realtimeRuntime", "CpuRealtimeRuntime"),
        ("realtimePeriod", "CpuRealtimePeriod"),
        ("cpus", "CpusetCpus"),
        ("mems", "CpusetMems"),
    ):
        if host.get(key):
            found[name] = host[key]
    return found


def block_io(host: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if host.get("BlkioWeight"):
        found["weight"] = host["BlkioWeight"]
    if host.get("BlkioWeightDevice"):
        found["weightDevice"] = [
            _on_device(item, "weight", item["Weight"]) for item in host["BlkioWeightDevice"]
        ]
    for name, key in (
        ("throttleReadBpsDevice", "BlkioDeviceReadBps"),
        ("throttleWriteBpsDevice", "BlkioDeviceWriteBps"),
        ("throttleReadIOPSDevice", "BlkioDeviceReadIOps"),
        ("throttleWriteIOPSDevice", "BlkioDeviceWriteIOps"),
    ):
        if host.get(key):
            found[name] = [_on_device(item, "rate", item["Rate"]) for item in host[key]]
    return found


def _on_device(item: dict[str, Any], name: str, value: int) -> dict[str, int]:
    number = os.stat(item["Path"]).st_rdev
    return {"major": os.major(number), "minor": os.minor(number), name: value}


def devices(host: dict[str, Any]) -> list[dict[str, Any]]:
    """`linux.devices`: what --device (or --privileged) makes in /dev."""
    if host.get("Privileged"):
        return [node for node, _ in _host_devices("/dev")]
    return [node for item in host.get("Devices") or () for node, _ in _asked(item)]


def _device_rules(host: dict[str, Any], *, privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = [dict(rule) for rule in docker_defaults.DEVICE_RULES]
    for item in host.get("Devices") or ():
        for node, access in _asked(item):
            rules.append(
                {
                    "allow": True,
                    "type": node["type"],
                    "major": node["major"],
                    "minor": node["minor"],
                    "access": access,
                }
            )
    rules += [_rule(text) for text in host.get("DeviceCgroupRules") or ()]
    return rules


def _rule(text: str) -> dict[str, Any]:
    """`c 1:3 rwm`, `*` for any number."""
    try:
        kind, numbers, access = text.split()
        major, minor = numbers.split(":")
    except ValueError:
        raise errors.InvalidArgument(f"invalid device cgroup rule format: '{text}'") from None
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    rule |= {n: int(v) for n, v in (("major", major), ("minor", minor)) if v != "*"}
    return rule


def _asked(item: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    source = item.get("PathOnHost") or ""
    where = item.get("PathInContainer") or source
    access = item.get("CgroupPermissions") or "rwm"
    real = os.path.realpath(source)
    if os.path.isdir(real):
        found = [node for node, _ in _host_devices(real)]
        if not found:
            raise errors.InvalidArgument(
                f'error gathering device information while adding custom device "{source}": not a '
                "device node"
            )
        for node in found:
            yield {**node, "path": where + node["path"].removeprefix(real)}, access
        return
    single = _device(real, where)
    if single is None:
        problem = "not a device node" if os.path.exists(real) else "no such file or directory"
        raise errors.InvalidArgument(
            f'error gathering device information while adding custom device "{source}": {problem}'
        )
    yield single, access


def _host_devices(top: str) -> Iterator[tuple[dict[str, Any], str]]:
    for directory, subdirectories, names in os.walk(top):
        subdirectories[:] = [
            d for d in subdirectories
            if os.path.join(directory, d) not in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd")
        ]  # fmt: skip
        for name in names:
            path = os.path.join(directory, name)
            if path != "/dev/console" and (node := _device(path, path)):
                yield node, "rwm"


def _device(path: str, where: str) -> dict[str, Any] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    return {
        "path": where,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
