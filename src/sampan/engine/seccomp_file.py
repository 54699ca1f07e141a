"""A user's seccomp profile in Docker's own form, resolved for one container.

Docker's form is the runtime specification's with conditions on it: `archMap` instead of
`architectures`, and on a rule `includes` and `excludes` by capability, architecture and kernel.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Collection

_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "amd64"),
    "aarch64": ("SCMP_ARCH_AARCH64", "arm64"),
    "armv7l": ("SCMP_ARCH_ARM", "arm"),
    "ppc64le": ("SCMP_ARCH_PPC64LE", "ppc64le"),
    "s390x": ("SCMP_ARCH_S390X", "s390x"),
    "riscv64": ("SCMP_ARCH_RISCV64", "riscv64"),
}


def resolve(profile: dict[str, Any], capabilities: Collection[str]) -> dict[str, Any]:
    """The profile as the runtime specification wants it, for this machine."""
    if not isinstance(profile, dict):
        raise errors.InvalidArgument("Decoding seccomp profile failed: it is no JSON object")
    if profile.get("archMap") and profile.get("architectures"):
        raise errors.InvalidArgument(
            "use either 'architectures' or 'archMap' in the seccomp profile, not both"
        )
    native, short = _ARCHITECTURES.get(os.uname().machine, ("", os.uname().machine))
    resolved = {
        key: value
        for key, value in profile.items()
        if key not in ("archMap", "architectures", "syscalls")
    }
    architectures = list(profile.get("architectures") or ())
    for entry in profile.get("archMap") or ():
        if entry.get("architecture") == native:
            architectures = [native, *(entry.get("subArchitectures") or ())]
    if architectures:
        resolved["architectures"] = architectures
    rules = []
    for rule in profile.get("syscalls") or ():
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if _all_hold(includes, capabilities, short) and not _any_holds(
            excludes, capabilities, short
        ):
            names = [*(rule.get("names") or ()), *filter(None, [rule.get("name")])]
            kept = ("action", "args", "errnoRet")
            rules.append({"names": names, **{k: rule[k] for k in kept if rule.get(k) is not None}})
    resolved["syscalls"] = rules
    return resolved


def _all_hold(conditions: dict[str, Any], capabilities: Collection[str], arch: str) -> bool:
    if conditions.get("arches") and arch not in conditions["arches"]:
        return False
    if not set(conditions.get("caps") or ()) <= set(capabilities):
        return False
    return not conditions.get("minKernel") or _kernel() >= _version(conditions["minKernel"])


def _any_holds(conditions: dict[str, Any], capabilities: Collection[str], arch: str) -> bool:
    if arch in (conditions.get("arches") or ()):
        return True
    if set(conditions.get("caps") or ()) & set(capabilities):
        return True
    return bool(conditions.get("minKernel")) and _kernel() >= _version(conditions["minKernel"])


def _kernel() -> tuple[int, int]:
    return _version(os.uname().release)


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))
