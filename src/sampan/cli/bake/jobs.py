"""A target as the words of `sampan build`."""

from __future__ import annotations

import os

from sampan.cli import building
from sampan.cli.bake import fields
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_LISTS = {"platforms": "--platform", "tags": "--tag", "no-cache-filter": "--no-cache-filter",
          "entitlements": "--allow", "annotations": "--annotation"}  # fmt: skip
_RECORDS = {"cache-from": "--cache-from", "cache-to": "--cache-to", "attest": "--attest",
            "secret": "--secret", "ssh": "--ssh"}  # fmt: skip
_MAPS = {"args": "--build-arg", "labels": "--label"}
_TEXTS = {"target": "--target", "network": "--network", "shm-size": "--shm-size"}
_BOOLS = {"pull": "--pull", "no-cache": "--no-cache"}
_REFUSED = ("ulimits",)


def words(target: dict[str, Any], built: Mapping[str, str], inline: str) -> list[str]:
    """`built`: target → image id; `inline`: the file that has the inline Dockerfile."""
    for name in _REFUSED:
        if target.get(name):
            raise errors.Unsupported(f"{name} are not known to `sampan build`")
    found = [f"{flag}={target[name]}" for name, flag in _TEXTS.items() if target.get(name)]
    found += [f"{flag}={key}={value}" for name, flag in _MAPS.items()
              for key, value in (target.get(name) or {}).items()]  # fmt: skip
    found += [f"{flag}={value}" for name, flag in _LISTS.items()
              for value in target.get(name) or []]  # fmt: skip
    found += [f"{flag}={fields.line(name, value)}" for name, flag in _RECORDS.items()
              for value in target.get(name) or []]  # fmt: skip
    found += [flag for name, flag in _BOOLS.items() if target.get(name)]
    found += [f"--add-host={k}:{v}" for k, v in (target.get("extra-hosts") or {}).items()]
    found += [f"--output={fields.line('output', one)}" for one in target.get("output") or []
              if one.get("type") != "cacheonly"]  # fmt: skip
    if target.get("call", "build") not in ("build", "check"):
        raise errors.Unsupported(f"call: {target['call']} is not known here, only build and check")
    found += ["--check"] if target.get("call") == "check" else []
    context = target["context"]
    for name, value in (target.get("contexts") or {}).items():
        link = value.removeprefix("target:")
        place = value if link == value else f"docker-image://{built[link]}"
        found.append(f"--build-context={name}={place}")
    return [*found, f"--file={inline or _dockerfile(context, target['dockerfile'])}", context]


def _dockerfile(context: str, name: str) -> str:
    """Below the context, which is how bake means it."""
    if building.is_remote(context) or context == "-" or os.path.isabs(name):
        return name
    return os.path.join(context, name)
