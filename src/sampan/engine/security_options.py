"""HostConfig.SecurityOpt: `key=value` or `key:value`; a bare `no-new-privileges` means true."""

from __future__ import annotations

from typing import Any

from sampan.kit import errors
from sampan.linux import cgroup

_KEYS = (
    "seccomp", "no-new-privileges", "apparmor", "label", "systempaths", "writable-cgroups",
)  # fmt: skip


def parse(host: dict[str, Any]) -> dict[str, str]:
    found = {}
    for text in host.get("SecurityOpt") or ():
        key, sign, value = text.partition("=")
        if not sign:
            key, sign, value = text.partition(":")
        found[key] = value if sign else "true"
    return found


def check(host: dict[str, Any]) -> None:
    for option in host.get("SecurityOpt") or ():
        if option.partition("=")[0].partition(":")[0] not in _KEYS:
            raise errors.InvalidArgument(f'invalid --security-opt 2: "{option}"')
    if writable_cgroups(host) and not (
        cgroup.unified() and host.get("CgroupnsMode") in (None, "", "private")
    ):
        raise errors.InvalidArgument(
            "security-opt writable-cgroups needs cgroup v2 and a private cgroup namespace"
        )


def writable_cgroups(host: dict[str, Any]) -> bool:
    """The container may make cgroups below its own: what a service manager in it needs."""
    return parse(host).get("writable-cgroups", "").lower() in ("true", "1", "t")
