"""Why a step was done again: what its key is made of, beside what it was made of last time.

A *trace* is kept for each step that was done, by its stage and its words. Where the same words meet
another key, the difference between the two traces is the reason.
"""

from __future__ import annotations

import hashlib
import json
import zlib

from sampan.build import cache
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SHOWN = 5  # names in one sentence
_MOST = 100_000  # files of a step that are remembered one by one

_WORDS = {
    "below": "what lies below it has changed: an earlier step was done again",
    "args": "its command has changed",
    "user": "the user has changed",
    "directory": "the working directory has changed",
    "network": "the network has changed",
    "mounts": "its mounts have changed",
    "binds": "files that it has mounted have changed",
    "script": "its script has changed",
    "insecure": "its privileges have changed",
    "epoch": "SOURCE_DATE_EPOCH has changed",
}


class Parts(Record):
    """All that decides about a step's result; `files` (name → digest) only says which it was."""

    kind: str
    parts: Mapping[str, Any]
    files: Mapping[str, str] = {}

    @property
    def key(self) -> str:
        return cache.key(self.kind, **self.parts)


def ident(stage: str, words: str) -> str:
    """Of the step, as a Dockerfile's reader knows it."""
    return hashlib.sha256(f"{stage}\0{words}".encode("utf-8", "surrogateescape")).hexdigest()


def packed(made: Parts) -> bytes:
    files = dict(made.files) if len(made.files) <= _MOST else {}
    return zlib.compress(json.dumps([made.kind, dict(made.parts), files]).encode(), 1)


def unpacked(trace: bytes) -> Parts:
    kind, parts, files = json.loads(zlib.decompress(trace))
    return Parts(kind=kind, parts=parts, files=files)


def reason(trace: bytes | None, now: Parts) -> str:
    if trace is None:
        return "this step was not done before"
    before = unpacked(trace)
    if before.key == now.key:
        return "what it made was removed, by a prune or to stay within the budget"
    if before.kind != now.kind:
        return "it was another kind of step"
    # As JSON has them: a trace knows lists where the step has tuples.
    current = json.loads(json.dumps(dict(now.parts)))
    found = []
    for name in sorted({*before.parts, *current}):
        old, new = before.parts.get(name), current.get(name)
        if old != new:
            found.append(_part(name, old, new, before, now))
    return "; ".join(found)


def _part(name: str, old: Any, new: Any, before: Parts, now: Parts) -> str:
    if name == "env":
        return _listed("the variable", _differing(old or {}, new or {}), "has changed")
    if name == "digest":
        changed = _differing(dict(before.files), dict(now.files))
        return _listed("the file", changed, "has changed") if changed else "its files have changed"
    return _WORDS.get(name, f"{name} has changed")


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    marks = {name: " (new)" if name not in old else " (gone)" for name in names}
    return [
        name + (marks[name] if (name in old) != (name in new) else "") for name in sorted(names)
    ]


def _listed(what: str, names: list[str], verb: str) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} {shown}{more} {verb}"
