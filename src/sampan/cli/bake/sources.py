"""The files of a bake: which ones, and each as a block of HCL's."""

from __future__ import annotations

import json
import os
import sys

from sampan.cli.bake import compose_file, hcl
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# Read in this order, the later one wins.
USUAL = (
    "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "docker-bake.json",
    "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl",
)  # fmt: skip


def read(given: Sequence[str], environ: Mapping[str, str]) -> list[hcl.Block]:
    """Raises InvalidArgument, with the file and where possible the line."""
    names = given or [name for name in USUAL if os.path.isfile(name)]
    if not names:
        raise errors.InvalidArgument(f"no bake file here ({', '.join(USUAL)}): name one with -f")
    return [_file(name, environ) for name in names]


def _file(name: str, environ: Mapping[str, str]) -> hcl.Block:
    try:
        if name == "-":
            text = sys.stdin.read()
        else:
            with open(name, encoding="utf-8") as file:
                text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise errors.InvalidArgument(f"{name}: {reason.lower()}") from None
    try:
        return parse(text, os.path.splitext(name)[1], environ)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"{name}: {error}") from None


def parse(text: str, suffix: str, environ: Mapping[str, str]) -> hcl.Block:
    """By the suffix; without one by what the text looks like."""
    if suffix in (".yaml", ".yml"):
        return _compose(text, environ)
    if suffix == ".json" or (suffix != ".hcl" and text.lstrip().startswith("{")):
        return _json(text)
    return hcl.parse(text)


def _json(text: str) -> hcl.Block:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument(str(error)) from None
    if not isinstance(found, dict):
        raise errors.InvalidArgument("an object is wanted")
    blocks, attributes = [], {}
    for kind, value in found.items():
        if kind in ("variable", "function", "group", "target"):
            for label, inner in _object(kind, value).items():
                fields = _object(f"{kind}.{label}", inner)
                blocks.append(
                    _block(kind, label, {k: hcl.Json(value=v) for k, v in fields.items()})
                )
        else:
            attributes[kind] = hcl.Json(value=value)
    return hcl.Block(kind="", attributes=attributes, blocks=tuple(blocks))


def _object(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise errors.InvalidArgument(f"{place}: an object is wanted")
    return value


def _compose(text: str, environ: Mapping[str, str]) -> hcl.Block:
    targets = compose_file.targets(text, environ)
    blocks = [
        _block("target", name, {k: hcl.Constant(value=v) for k, v in fields.items()})
        for name, fields in targets.items()
    ]
    blocks.append(_block("group", "default", {"targets": hcl.Constant(value=[*targets])}))
    return hcl.Block(kind="", attributes={}, blocks=tuple(blocks))


def _block(kind: str, label: str, attributes: dict[str, Any]) -> hcl.Block:
    return hcl.Block(kind=kind, labels=(label,), attributes=attributes)
