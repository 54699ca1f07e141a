"""`--mount type=bind,source=/a,target=/b,readonly,…` as the API's Mount."""

from __future__ import annotations

from sampan.cli import units, values
from sampan.cli.parse import csv, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
FLAGS = frozenset(("readonly", "ro", "volume-nocopy", "bind-nonrecursive"))
_BIND_RECURSIVE: dict[str, dict[str, bool]] = {
    "enabled": {},
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def parse(text: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": "volume"}
    for key, value in csv.pairs(text, FLAGS):
        if key in _PLAIN:
            mount[_PLAIN[key]] = value
        elif key in _SPECIAL:
            _SPECIAL[key](mount, value)
        else:
            raise ValueError(f"unexpected key '{key}' in '{key}={value}'")
    _check(mount)
    return mount


_PLAIN = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "dst": "Target",
    "destination": "Target",
    "consistency": "Consistency",
}


def _check(mount: dict[str, Any]) -> None:
    kind = mount["Type"] = mount["Type"].lower()
    if not kind:
        raise ValueError("type is required")
    if not mount.get("Target"):
        raise ValueError("target is required")
    if kind == "bind" and mount.get("Source"):
        mount["Source"] = volumes.absolute(mount["Source"])
    for own in ("bind", "volume", "image", "tmpfs"):
        if f"{own.capitalize()}Options" in mount and kind != own:
            raise ValueError(f"cannot mix '{own}-*' options with mount type '{kind}'")
    if "VolumeOptions" in mount:
        mount["VolumeOptions"].setdefault("DriverConfig", {})
    _check_recursion(mount)


def _check_recursion(mount: dict[str, Any]) -> None:
    bind = mount.get("BindOptions", {})
    if bind.get("ReadOnlyForceRecursive") and not (
        mount.get("ReadOnly") and bind.get("Propagation") == "rprivate"
    ):
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'readonly' and 'bind-propagation=rprivate'"
        )


def _part(mount: dict[str, Any], name: str) -> dict[str, Any]:
    part: dict[str, Any] = mount.setdefault(name, {})
    return part


def _flag(value: str, key: str) -> bool:
    try:
        return values.boolean(value or "true")
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None


def _readonly(mount: dict[str, Any], value: str) -> None:
    if _flag(value, "readonly"):
        mount["ReadOnly"] = True


def _propagation(mount: dict[str, Any], value: str) -> None:
    if value.lower() not in PROPAGATIONS:
        raise ValueError(f"bind-propagation '{value}' is none of {', '.join(PROPAGATIONS)}")
    _part(mount, "BindOptions")["Propagation"] = value.lower()


def _nonrecursive(mount: dict[str, Any], value: str) -> None:
    _part(mount, "BindOptions")["NonRecursive"] = _flag(value, "bind-nonrecursive")


def _recursive(mount: dict[str, Any], value: str) -> None:
    if value not in _BIND_RECURSIVE:
        raise ValueError(f"bind-recursive '{value}' is none of {', '.join(_BIND_RECURSIVE)}")
    _part(mount, "BindOptions").update(_BIND_RECURSIVE[value])


def _nocopy(mount: dict[str, Any], value: str) -> None:
    _part(mount, "VolumeOptions")["NoCopy"] = _flag(value, "volume-nocopy")


def _volume_label(mount: dict[str, Any], value: str) -> None:
    key, _, text = value.partition("=")
    _part(mount, "VolumeOptions").setdefault("Labels", {})[key] = text


def _volume_driver(mount: dict[str, Any], value: str) -> None:
    _part(_part(mount, "VolumeOptions"), "DriverConfig")["Name"] = value


def _volume_opt(mount: dict[str, Any], value: str) -> None:
    key, _, text = value.partition("=")
    driver = _part(_part(mount, "VolumeOptions"), "DriverConfig")
    driver.setdefault("Options", {})[key] = text


def _volume_subpath(mount: dict[str, Any], value: str) -> None:
    _part(mount, "VolumeOptions")["Subpath"] = value


def _image_subpath(mount: dict[str, Any], value: str) -> None:
    _part(mount, "ImageOptions")["Subpath"] = value


def _tmpfs_size(mount: dict[str, Any], value: str) -> None:
    try:
        _part(mount, "TmpfsOptions")["SizeBytes"] = units.parse_bytes(value)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from None


def _tmpfs_mode(mount: dict[str, Any], value: str) -> None:
    try:
        _part(mount, "TmpfsOptions")["Mode"] = int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from None


_SPECIAL: dict[str, Callable[[dict[str, Any], str], None]] = {
    "readonly": _readonly,
    "ro": _readonly,
    "bind-propagation": _propagation,
    "bind-nonrecursive": _nonrecursive,
    "bind-recursive": _recursive,
    "volume-nocopy": _nocopy,
    "volume-label": _volume_label,
    "volume-driver": _volume_driver,
    "volume-opt": _volume_opt,
    "volume-subpath": _volume_subpath,
    "image-subpath": _image_subpath,
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}
