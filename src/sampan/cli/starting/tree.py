"""A source tree that is looked at: names and texts, nothing is executed."""

from __future__ import annotations

import os

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LARGEST = 1 << 20  # bytes of a file that is read
_DEPTH = 4
_SKIPPED = frozenset(
    {"node_modules", "vendor", "target", "build", "dist", "venv", "env", "tests", "test"}
)


class Tree:
    def __init__(self, directory: str) -> None:
        if not os.path.isdir(directory):
            raise errors.InvalidArgument(f"{directory}: no such directory")
        self.directory = directory
        self.name = os.path.basename(os.path.realpath(directory)) or "app"

    def has(self, name: str) -> bool:
        return os.path.exists(f"{self.directory}/{name}")

    def first(self, *names: str) -> str:
        """The first of them that is there, or nothing."""
        return next((name for name in names if self.has(name)), "")

    def text(self, name: str) -> str:
        """What the file says; nothing if there is none."""
        try:
            with open(f"{self.directory}/{name}", encoding="utf-8", errors="replace") as file:
                return file.read(_LARGEST)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return ""

    def json(self, name: str) -> dict[str, Any]:
        import json

        try:
            found = json.loads(self.text(name) or "{}")
        except ValueError as error:
            raise errors.InvalidArgument(f"{self.directory}/{name}: {error}") from None
        if not isinstance(found, dict):
            raise errors.InvalidArgument(f"{self.directory}/{name}: an object is wanted")
        return found

    def toml(self, name: str) -> dict[str, Any]:
        import tomllib

        try:
            return tomllib.loads(self.text(name))
        except tomllib.TOMLDecodeError as error:
            raise errors.InvalidArgument(f"{self.directory}/{name}: {error}") from None

    def files(self, suffix: str) -> Iterator[str]:
        """Paths of that suffix, those near the top first, tests and dependencies left out."""
        level = [""]
        for _ in range(_DEPTH):
            deeper = []
            for folder in level:
                for child in self._children(folder):
                    path = f"{folder}/{child.name}" if folder else child.name
                    if child.is_dir(follow_symlinks=False):
                        deeper.append(path)
                    elif child.name.endswith(suffix):
                        yield path
            level = deeper

    def _children(self, folder: str) -> list[os.DirEntry[str]]:
        with os.scandir(f"{self.directory}/{folder}") as found:
            kept = [c for c in found if c.name not in _SKIPPED and not c.name.startswith(".")]
        return sorted(kept, key=lambda child: child.name)
