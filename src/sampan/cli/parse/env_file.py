"""`--env-file` and `--label-file`: `NAME=VALUE` lines, `#` comments, bare names."""

from __future__ import annotations

import os


def read(path: str, *, lookup: bool = True) -> list[str]:
    """The entries in order. A bare NAME takes our own environment's value, or is left out.

    Raises ValueError naming file and line.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    found = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            line = raw.decode().lstrip()
        except UnicodeDecodeError:
            raise ValueError(f"{path}:{number}: the line is not UTF-8") from None
        if not line or line.startswith("#"):
            continue
        found += _entry(line, f"{path}:{number}", lookup)
    return found


def _entry(line: str, where: str, lookup: bool) -> list[str]:
    name, equals, _ = line.partition("=")
    if not name:
        raise ValueError(f"{where}: no variable name on line '{line}'")
    if any(c.isspace() for c in name.rstrip() if lookup) or name != name.rstrip():
        raise ValueError(f"{where}: variable '{name}' contains whitespaces")
    if equals or not lookup:
        return [line]
    return [f"{name}={os.environ[name]}"] if name in os.environ else []


def resolve(entries: list[str]) -> list[str]:
    """`-e` values: a bare NAME takes our environment's value; unset, it stays bare."""
    return [
        entry if "=" in entry or entry not in os.environ else f"{entry}={os.environ[entry]}"
        for entry in entries
    ]
