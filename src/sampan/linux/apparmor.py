"""AppArmor, as far as the kernel tells of it (Documentation/admin-guide/LSM/apparmor.rst)."""

from __future__ import annotations

_PROFILES = "/sys/kernel/security/apparmor/profiles"


def enabled() -> bool:
    try:
        with open("/sys/module/apparmor/parameters/enabled", "rb") as file:  # a codec is an import
            return file.read(1) == b"Y"
    except OSError:
        return False


def profiles() -> set[str]:
    """The names of those the kernel has; OSError where securityfs is not mounted or not for us."""
    with open(_PROFILES, encoding="utf-8", errors="surrogateescape") as file:
        return {line.rpartition(" (")[0] for line in file}
