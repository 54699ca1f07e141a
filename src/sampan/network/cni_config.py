"""CNI configuration lists: read, checked, cut into what each plugin reads (CNI 1.1, section 1).

A file is a list (`.conflist`, with "plugins") or one plugin (`.conf`), which is a list of one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.kit.record import Record
from sampan.network import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

_OLDEST = (0, 3, 0)  # before, results had another shape


class Plugins(Record):
    """`text` is the file's, which goes into the result cache."""

    name: str
    version: str  # cniVersion
    plugins: tuple[dict[str, Any], ...]
    disable_check: bool = False
    disable_gc: bool = False
    text: str = ""

    def at_least(self, *version: int) -> bool:
        return _numbers(self.version) >= version

    def config(
        self,
        plugin: Mapping[str, Any],
        *,
        result: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What one plugin reads on its standard input."""
        config = {**plugin, "name": self.name, "cniVersion": self.version}
        wanted = plugin.get("capabilities") or {}
        runtime = {key: value for key, value in (capabilities or {}).items() if wanted.get(key)}
        if runtime:
            config["runtimeConfig"] = runtime
        if result is not None:
            config["prevResult"] = result
        return config


def load(path: str) -> Plugins:
    """Raises InvalidNetwork naming the file."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError as e:
        raise errors.InvalidNetwork(f"cannot read the CNI list {path}: {e.strerror}") from e
    return parse(text, path)


def parse(text: str, path: str) -> Plugins:
    try:
        found = json.loads(text)
    except ValueError as e:
        raise errors.InvalidNetwork(f"the CNI list {path} is no JSON: {e}") from e
    if not isinstance(found, dict):
        raise errors.InvalidNetwork(f"the CNI list {path} is no JSON object")
    plugins = found.get("plugins", [found])
    name, version = found.get("name"), found.get("cniVersion", "0.2.0")
    if not name or not isinstance(name, str) or "/" in name:
        raise errors.InvalidNetwork(f"the CNI list {path} has no usable name: {name!r}")
    if not isinstance(version, str) or _numbers(version) < _OLDEST:
        raise errors.InvalidNetwork(
            f"the CNI list {path} has cniVersion {version}; 0.3.0 is the oldest that works here"
        )
    if not isinstance(plugins, list) or not plugins:
        raise errors.InvalidNetwork(f"the CNI list {path} names no plugins")
    for plugin in plugins:
        kind = plugin.get("type") if isinstance(plugin, dict) else None
        if not kind or not isinstance(kind, str) or "/" in kind:
            raise errors.InvalidNetwork(f"the CNI list {path} has a plugin without a type: {kind}")
    return Plugins(
        name=name,
        version=version,
        plugins=tuple(plugins),
        disable_check=_flag(found.get("disableCheck")),
        disable_gc=_flag(found.get("disableGC")),
        text=text,
    )


def _flag(value: Any) -> bool:
    return value is True or str(value).lower() == "true"  # both forms are in use


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else (0,)
