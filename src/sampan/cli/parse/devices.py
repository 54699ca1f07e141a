"""`--device HOST[:CONTAINER][:PERMISSIONS]`, permissions of `r`, `w`, `m`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str) -> dict[str, Any] | str:
    """The API's DeviceMapping; a CDI name (`vendor.com/class=name`) as it is."""
    if _is_cdi(text):
        return text
    parts = text.split(":")
    permissions = "rwm"
    if len(parts) > 3 or not parts[0]:
        raise ValueError(f"bad format for path: {text}")
    if len(parts) == 3:
        permissions = parts[2]
        if not _are_permissions(permissions):
            raise ValueError(f"bad mode specified: {permissions}")
        parts = parts[:2]
    elif len(parts) == 2 and _are_permissions(parts[1]):
        permissions = parts.pop()
    target = parts[-1] or parts[0]
    for path in (parts[0], target):
        if not path.startswith("/"):
            raise ValueError(f"{path} is not an absolute path")
    return {
        "PathOnHost": parts[0],
        "PathInContainer": target,
        "CgroupPermissions": permissions,
    }


def _are_permissions(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def _is_cdi(text: str) -> bool:
    vendor, slash, rest = text.partition("/")
    return bool(vendor and slash and "=" in rest)
