"""`--chown` and USER as numbers: `user[:group]`, looked up in the stage's own passwd and group.

A name that is not there is root's, as in BuildKit (solver/llbsolver/ops/user_linux.go), whatever
its reference says: Dockerfiles rely on it that name a user who comes later.
"""

from __future__ import annotations

from sampan.build import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.files import Files


def owner_of(tree: Files, text: str) -> tuple[int, int]:
    """A user without a group has its own, a number the group of that number; `:group` is root's."""
    user, _, group = text.partition(":")
    uid, own = _user(tree, user)
    return uid, _group(tree, group, own) if group else own


def named(text: str) -> bool:
    """Whether a table has to be looked at."""
    return any(part and not part.isdecimal() for part in text.split(":", 1))


def _user(tree: Files, name: str) -> tuple[int, int]:
    if name.isdecimal() or not name:
        return int(name or 0), int(name or 0)
    for fields in _table(tree, "etc/passwd"):
        if fields[0] == name and len(fields) > 3:
            return int(fields[2]), int(fields[3])
    return 0, 0


def _group(tree: Files, name: str, otherwise: int) -> int:
    if name.isdecimal():
        return int(name)
    for fields in _table(tree, "etc/group"):
        if fields[0] == name and len(fields) > 2:
            return int(fields[2])
    return otherwise


def _table(tree: Files, path: str) -> list[list[str]]:
    place = files.resolve(tree, path)
    entry = tree.entry(place)
    if entry is None or entry.kind:  # a regular file's kind is 0
        return []
    parts: list[bytes] = []
    tree.copy(place, parts.append)
    lines = b"".join(parts).decode("utf-8", "replace").splitlines()
    return [line.split(":") for line in lines if line and not line.startswith("#")]
