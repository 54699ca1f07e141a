"""What few containers ask for below `linux`: clocks, devices of the network, labels, cache shares.

Imported only when config.json has one of them.
"""

from __future__ import annotations

import errno
import os
import socket

from sampan.linux import netlink, resctrl
from sampan.runtime import errors, tuning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.plan import Plan
    from sampan.spec import oci_runtime


def make(config: oci_runtime.Config) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(text for /proc/self/timens_offsets, network devices to move); refuses what cannot be."""
    linux = config.linux
    if linux.intel_rdt:
        resctrl.Group(linux.intel_rdt, "any")
        resctrl.check_mounted()
    if linux.mount_label:
        _check_mount_label(linux.mount_label)
    kinds = {item.type: item.path for item in linux.namespaces}
    return _offsets(linux.time_offsets, kinds), _devices(linux.net_devices, kinds)


def _check_mount_label(label: str) -> None:
    if '"' in label or not label.isprintable():
        raise errors.InvalidConfig(f"linux.mountLabel: {label!r} is no SELinux context")
    if not tuning.selinux():
        raise errors.NotPermitted(
            "linux.mountLabel is set, but SELinux is disabled or not supported by this host"
        )


def _offsets(offsets: dict[str, Any], kinds: dict[str, str]) -> str:
    if not offsets:
        return ""
    if kinds.get("time") != "":
        raise errors.InvalidConfig("linux.timeOffsets needs a new time namespace of the container")
    lines = []
    for clock, value in offsets.items():
        place = f"linux.timeOffsets.{clock}"
        if clock not in ("monotonic", "boottime"):
            raise errors.InvalidConfig(f"{place}: the clocks are monotonic and boottime")
        if not isinstance(value, dict):
            raise errors.InvalidConfig(f"{place} must be an object, not {value!r:.60}")
        seconds, nanoseconds = value.get("secs") or 0, value.get("nanosecs") or 0
        if type(seconds) is not int or type(nanoseconds) is not int:
            raise errors.InvalidConfig(f"{place}: secs and nanosecs must be integers")
        if not 0 <= nanoseconds < 10**9:
            raise errors.InvalidConfig(f"{place}.nanosecs: {nanoseconds} is not below 1000000000")
        lines.append(f"{clock} {seconds} {nanoseconds}\n")
    return "".join(lines)


def _devices(wanted: dict[str, Any], kinds: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if wanted and "network" not in kinds:
        raise errors.InvalidConfig("linux.netDevices needs a network namespace of the container")
    plan = []
    for name, value in wanted.items():
        if not isinstance(value, dict):
            raise errors.InvalidConfig(f"linux.netDevices.{name} must be an object")
        inside = value.get("name") or name
        for text in (name, inside):
            if not _is_device_name(text):
                raise errors.InvalidConfig(
                    f"linux.netDevices: invalid network device name {text!r}"
                )
        plan.append((name, inside))
    return tuple(plan)


def _is_device_name(name: object) -> bool:
    """As the kernel's dev_valid_name()."""
    return (
        isinstance(name, str)
        and 0 < len(name.encode()) < 16
        and name not in (".", "..")
        and not any(c in "/:" or c.isspace() for c in name)
    )


def move_devices(plan: Plan, pid: int) -> None:
    """Into the container's network namespace, with their permanent global addresses, and up."""
    joined = plan.joins("network")
    path = f"/proc/{pid}/ns/net"
    target = os.dup(joined) if joined >= 0 else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for outside, inside in plan.net_devices:
            try:
                _move(outside, inside, target)
            except OSError as error:
                raise errors.InvalidConfig(
                    f"linux.netDevices.{outside}: cannot become {inside} in the container: "
                    f"{errors.reason(error)}"
                ) from error
    finally:
        os.close(target)


def _move(outside: str, inside: str, target: int) -> None:
    with netlink.Socket() as host:
        link = host.link(outside)
        if link is None:
            raise OSError(errno.ENODEV, "there is no such network device")
        addresses = [
            item
            for family in (socket.AF_INET, socket.AF_INET6)
            for item in host.addresses(family)
            if item.index == link.index and item.permanent
        ]
        host.send(netlink.move_link(outside, index=link.index, netns=target, rename=inside))
    with netlink.Socket(netns=target) as container:
        moved = container.link(inside)
        if moved is None:
            raise OSError(errno.ENODEV, "it is not there after the move")
        for item in addresses:
            container.send(netlink.add_address(moved.index, item.address, item.prefix))
        container.send(netlink.set_link(inside, index=moved.index, up=True))
