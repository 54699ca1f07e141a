"""Config and manifest over layers (image-spec config.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.image import archive, content
from sampan.image.bootstrap.recipe import Result
from sampan.kit import clock
from sampan.spec import oci_image

if TYPE_CHECKING:
    from sampan.image.bootstrap.recipe import Base, Recipe


def write(store: content.ContentStore, recipe: Recipe, base: Base) -> Result:
    created = clock.rfc3339(base.created * 10**9)
    changed = merged(base, recipe.config)
    history: list[dict[str, Any]] = [
        {"created": created, "created_by": layer.created_by, "comment": "sampan image bootstrap"}
        for layer in base.layers
    ]
    instructions = _instructions(recipe.config) or _instructions({"Cmd": list(base.command)})
    history += [
        {"created": created, "created_by": line, "empty_layer": True} for line in instructions
    ]
    config = {
        "created": created,
        "architecture": oci_image.host_platform().architecture,
        "os": "linux",
        "config": changed,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in base.layers]},
        "history": history,
    }
    digest = archive.write_image(store, config, [layer.descriptor for layer in base.layers])
    manifest = json.loads(content.read(store, digest))
    return Result(image_id=manifest["config"]["digest"], digest=digest)


def merged(base: Base, changes: dict[str, Any]) -> dict[str, Any]:
    """The base's config with the recipe's; an entrypoint of its own takes the base's Cmd away."""
    changes = {key: value for key, value in changes.items() if value}
    names = {entry.partition("=")[0] for entry in changes.get("Env", ())}
    kept = [entry for entry in base.environment if entry.partition("=")[0] not in names]
    config: dict[str, Any] = {"Cmd": list(base.command)}
    if "Entrypoint" in changes and "Cmd" not in changes:
        del config["Cmd"]
    config |= changes
    config["Env"] = [*kept, *changes.get("Env", ())]
    if "ExposedPorts" in config:
        ports = sorted(config["ExposedPorts"])
        config["ExposedPorts"] = {port if "/" in port else f"{port}/tcp": {} for port in ports}
    return dict(sorted(config.items()))


def _instructions(config: dict[str, Any]) -> list[str]:
    """The config as the Dockerfile lines that history shows."""
    lines = [f"ENV {entry}" for entry in config.get("Env") or ()]
    lines += [f"LABEL {key}={value}" for key, value in (config.get("Labels") or {}).items()]
    words = {"ExposedPorts": "EXPOSE", "Volumes": "VOLUME"}
    lines += [f"{word} {' '.join(sorted(config[key]))}" for key, word in words.items()
              if config.get(key)]  # fmt: skip
    plain = {"WorkingDir": "WORKDIR", "User": "USER", "StopSignal": "STOPSIGNAL"}
    lines += [f"{word} {config[key]}" for key, word in plain.items() if config.get(key)]
    lists = {"Entrypoint": "ENTRYPOINT", "Cmd": "CMD"}
    lines += [f"{word} {json.dumps(config[key])}" for key, word in lists.items() if config.get(key)]
    return lines
