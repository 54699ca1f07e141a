"""`-v`: `[SOURCE:]TARGET[:OPTION,…]`; a source with a slash or a dot in front is a path."""

from __future__ import annotations

import os

MODES = {
    "ro", "rw", "z", "Z", "nocopy", "consistent", "cached", "delegated", "default", "shared",
    "rshared", "slave", "rslave", "private", "rprivate", "volume-nocopy",
}  # fmt: skip


def parse(text: str) -> tuple[str, bool]:
    """What the API calls the bind, and whether it has a source (is not anonymous)."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts) or not text:
        raise ValueError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        _check_target(text, text)
        return text, False
    source, target = parts[0], parts[1]
    _check_target(target, text)
    for mode in parts[2].split(",") if len(parts) == 3 else ():
        if mode not in MODES:
            raise ValueError(f"invalid volume specification: '{text}': invalid mode: {mode}")
    if source.startswith("~"):
        raise ValueError(f"invalid volume specification: '{text}': the shell did not expand ~")
    return ":".join([absolute(source), *parts[1:]]), True


def absolute(source: str) -> str:
    """A path that begins with a dot starts from here; a name stays a name."""
    return os.path.abspath(source) if source.startswith(".") else source


def _check_target(target: str, text: str) -> None:
    if not target.startswith("/"):
        raise ValueError(
            f"invalid volume specification: '{text}': invalid mount path: '{target}' "
            "mount path must be absolute"
        )
    if os.path.normpath(target) in ("/", "//"):
        raise ValueError(f"invalid volume specification: '{text}': destination can't be '/'")
