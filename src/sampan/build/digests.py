"""What a tree's files held when they were last read: what has not changed is not read again.

A `Digests` is one file of JSON: path → stat and SHA-256. A `stat` is a list of numbers that is
another one when the file may be another one; who asks says which. As with `buildkit.copies`
nothing waits for the disk, and what is from before the latest boot counts for nothing.
There is one for each directory of this machine that was a context, and for each that a BuildKit
client sent; together they take up to `BUDGET` bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading

from sampan.kit import atomic
from sampan.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Stat = list[int | str]

BUDGET = 128 << 20  # bytes; about 200 a file that is known
_saving = threading.Lock()


class Digests:
    def __init__(self, path: str = "", of: str = "") -> None:
        """`of` is what people call the tree. Without a path nothing is kept."""
        self._path, self._of = path, of
        self._known: dict[str, tuple[Stat, str]] = {}
        self._changed = False
        if path:
            self._load()

    def _load(self) -> None:
        try:
            with open(self._path, "rb") as file:
                head = json.loads(file.readline())
                if head["boot"] == proc.boot_id():
                    self._known = json.load(file)
        except (OSError, ValueError, KeyError, TypeError):
            self._known = {}

    def find(self, name: str, stat: Stat) -> bytes | None:
        """The file's SHA-256, if it is known."""
        known = self._known.get(name)
        return bytes.fromhex(known[1]) if known is not None and known[0] == stat else None

    def note(self, name: str, stat: Stat, digest: bytes) -> None:
        self._known[name] = (stat, digest.hex())
        self._changed = True

    def save(self, present: Mapping[str, Stat]) -> None:
        """Keep what is known of the files that there are."""
        if not self._path:
            return
        kept = {name: one for name, one in self._known.items() if present.get(name) == one[0]}
        with _saving:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            if not self._changed and len(kept) == len(self._known):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(self._path)
                return
            head = json.dumps({"boot": proc.boot_id(), "of": self._of})
            body = json.dumps(kept, separators=(",", ":"))
            atomic.write(self._path, f"{head}\n{body}".encode(), sync=False)


def place(root: str) -> str:
    return f"{root}/build/digests"


def kept(root: str, ident: str, of: str = "") -> Digests:
    """Those of the tree of that name; `of` is what people call it, if not by its name."""
    name = hashlib.sha256(os.fsencode(ident)).hexdigest()[:25]
    return Digests(f"{place(root)}/{name}", of or ident)


def listed(root: str) -> list[tuple[str, str, os.stat_result]]:
    """File name, directory and status of all that is kept, what was used last first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(place(root)):
            with contextlib.suppress(OSError):
                found.append((entry.name, _owner(entry.path), entry.stat()))
    return sorted(found, key=lambda one: one[2].st_mtime, reverse=True)


def _owner(path: str) -> str:
    with open(path, "rb") as file:
        try:
            return str(json.loads(file.readline())["of"])
        except (ValueError, KeyError, TypeError):
            return ""  # broken: as good as nothing


def shrink(root: str, budget: int = BUDGET) -> None:
    """Forget what was used longest ago, as far as it is beyond the budget."""
    for name, _, status in listed(root):
        budget -= status.st_size
        if budget < 0:
            forget(root, name)


def forget(root: str, name: str) -> bool:
    """Whether it was there."""
    try:
        os.unlink(f"{place(root)}/{name}")
    except FileNotFoundError:
        return False
    return True
