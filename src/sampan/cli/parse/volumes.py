"""`-v`: `[SOURCE:]TARGET[:OPTION,…]`; a source with a slash or a dot in front is a path.

What paths and options may be, the engine says.
"""

from __future__ import annotations

import os


def parse(text: str) -> tuple[str, bool]:
    """What the API calls the bind, and whether it has a source (is not anonymous)."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts) or not text:
        raise ValueError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return text, False
    source = parts[0]
    if source.startswith("~"):
        raise ValueError(f"invalid volume specification: '{text}': the shell did not expand ~")
    return ":".join([absolute(source), *parts[1:]]), True


def absolute(source: str) -> str:
    """A path that begins with a dot starts from here; a name stays a name."""
    return os.path.abspath(source) if source.startswith(".") else source
