"""Container Device Interface: what vendors say that a container needs to use their devices.

    registry = Registry(("/etc/cdi", "/var/run/cdi"))
    registry.names()                        ["vendor.com/gpu=0", "vendor.com/gpu=all", …]
    registry.resolve(["vendor.com/gpu=0"])  edits, in the order in which they are made

A specification is a JSON or YAML file: a `kind` (vendor/class), devices by name, and for each and
for all of them `containerEdits` (CNCF CDI 1.0). Directories are read anew at each use: a driver's
daemon writes there whenever it likes. Of two files with the same device the one in the later
directory counts; two in one directory make that device unusable. A file that cannot be understood
is left out, and `problems` says why.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
NAME = re.compile(r"([A-Za-z][\w.-]*/[A-Za-z][\w.-]*)=([A-Za-z0-9][\w.:-]*)")
_KIND = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w.-]*")
_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")

Edits = dict[str, Any]  # containerEdits, as the file has them


class Unresolvable(errors.InvalidArgument):
    def __init__(self, names: Sequence[str], why: str = "") -> None:
        super().__init__(
            f"CDI device injection failed: unresolvable CDI devices {', '.join(names)}"
            + (f" ({why})" if why else "")
        )


class Registry:
    """What is in the directories now."""

    def __init__(self, directories: Iterable[str] = DIRECTORIES) -> None:
        self.problems: list[str] = []
        self._devices: dict[str, tuple[str, Edits, Edits]] = {}  # name → file, for all, its own
        self._conflicts: dict[str, str] = {}
        for directory in directories:
            self._read_directory(directory)

    def names(self) -> list[str]:
        return sorted(set(self._devices) - set(self._conflicts), key=_natural)

    def resolve(self, names: Sequence[str]) -> list[Edits]:
        """What a file says for all of its devices comes once, before the first of them."""
        missing = [name for name in names if name not in self._devices]
        if missing:
            raise Unresolvable(missing)
        for name in names:
            if name in self._conflicts:
                raise Unresolvable([name], self._conflicts[name])
        found, seen = [], set()
        for name in names:
            path, general, own = self._devices[name]
            if path not in seen:
                seen.add(path)
                found.append(general)
            found.append(own)
        return [edits for edits in found if edits]

    def _read_directory(self, directory: str) -> None:
        here: dict[str, str] = {}
        for path in _files(directory):
            try:
                document = _load(path)
                kind, devices = _check(document)
            except (OSError, ValueError, errors.SampanError) as error:
                self.problems.append(f"{path}: {error}")
                continue
            general = document.get("containerEdits") or {}
            for device in devices:
                name = f"{kind}={device['name']}"
                if name in here:
                    self._conflicts[name] = f"both {here[name]} and {path} have it"
                else:
                    self._conflicts.pop(name, None)
                here[name] = path
                self._devices[name] = (path, general, device.get("containerEdits") or {})


def _files(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if os.path.splitext(name)[1] in (".json", ".yaml", ".yml"):
            yield os.path.join(directory, name)


def _load(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        if path.endswith(".json"):
            found = json.load(file)
        else:
            import yaml  # 35 ms that most hosts have no use for

            try:
                found = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            except yaml.YAMLError as error:
                raise ValueError(str(error).replace("\n", " ")) from error
    if not isinstance(found, dict):
        raise ValueError("it must be an object")
    return found


def _check(document: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Kind and devices."""
    version, kind = document.get("cdiVersion"), document.get("kind")
    if version not in _VERSIONS:
        raise ValueError(f"cdiVersion {version!r} is not known")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise ValueError(f"kind {kind!r} is not vendor/class")
    devices = document.get("devices")
    if not isinstance(devices, list) or not devices:
        raise ValueError("it has no devices")
    for device in devices:
        if not isinstance(device, dict) or not NAME.fullmatch(f"{kind}={device.get('name')}"):
            raise ValueError(f"a device has no proper name: {json.dumps(device):.60}")
    for edits in (document, *devices):
        _check_edits(edits.get("containerEdits") or {})
    return kind, devices


_PARTS = {  # of containerEdits: what each item must have; "" for plain text
    "env": "",
    "deviceNodes": "path",
    "mounts": "containerPath",
    "hooks": "path",
    "netDevices": "hostInterfaceName",
}


def _check_edits(edits: Any) -> None:
    if not isinstance(edits, dict):
        raise ValueError("containerEdits must be an object")
    for part, needed in _PARTS.items():
        for item in edits.get(part) or ():
            text = item.get(needed) if needed and isinstance(item, dict) else item
            if not isinstance(text, str) or not text:
                raise ValueError(f"containerEdits.{part}: {json.dumps(item):.60} is not usable")


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
