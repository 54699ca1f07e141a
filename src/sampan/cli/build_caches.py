"""`sampan build --cache-from --cache-to`: caches of other places, as the engine is told of them."""

from __future__ import annotations

import os
import sys

from sampan.build import cache_options
from sampan.cli import build_inputs
from sampan.cli.parse import csv
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sampan.cli.session import Session


def imports(session: Session, texts: Sequence[str]) -> list[dict[str, Any]]:
    """Of those with a type; a name alone is an image that is here (`cachefrom`)."""
    found = []
    for text in texts:
        if "=" not in text:
            continue
        kind, attrs = _fields("--cache-from", text)
        cache_options.parse_import(kind, attrs)
        if kind == "local" and not os.path.isdir(attrs["src"]):
            print(f"--cache-from {text}: no such directory yet", file=sys.stderr)
            continue
        if kind == "local":
            attrs["src"] = _lent(session, "--cache-from", text, attrs["src"])
        found.append({"Type": kind, "Attrs": attrs})
    return found


def exports(session: Session, texts: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for text in texts:
        kind, attrs = _fields("--cache-to", text if "=" in text else f"type=registry,ref={text}")
        cache_options.parse_export(kind, attrs)
        if kind == "local":
            os.makedirs(attrs["dest"], exist_ok=True)
            attrs["dest"] = _lent(session, "--cache-to", text, attrs["dest"])
        found.append({"Type": kind, "Attrs": attrs})
    return found


def _fields(option: str, text: str) -> tuple[str, dict[str, str]]:
    try:
        fields = dict(csv.pairs(text))
    except ValueError as error:
        raise errors.InvalidArgument(f"{option} {text}: {error}") from None
    kind = fields.pop("type", "")
    if not kind:
        raise errors.InvalidArgument(f"{option} {text}: a type is wanted")
    return kind, fields


def _lent(session: Session, option: str, text: str, directory: str) -> str:
    """The token by which the engine knows a directory of this machine."""
    token = build_inputs.lent(session, directory)
    if token is None:
        raise errors.Unsupported(
            f"{option} {text}: the engine does not see this directory: use type=registry"
        )
    return token
