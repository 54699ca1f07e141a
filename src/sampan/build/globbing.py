"""Which paths of a tree a source of COPY names: Go's `filepath.Match`, one directory at a time.

A `*` meets names that begin with a dot, too; `[^a]` negates and `[!a]` does not; a backslash takes
the next character's meaning away. A pattern may meet nothing, as in BuildKit; a plain path may not.
"""

from __future__ import annotations

import re

from sampan.build import files, ignore
from sampan.build.errors import DockerfileError
from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.files import Files

_SPECIAL = re.compile(r"[*?\[\\]")
_ESCAPED = re.compile(r"\\(.)")
_WILD = re.compile(r"[*?\[]")


class NothingMatched(errors.NotFound):
    def __init__(self, pattern: str) -> None:
        super().__init__(f'"/{files.clean(pattern)}": not found in the build context')


def matches(source: Files, pattern: str, *, deep: bool = False) -> list[str]:
    """The paths that a pattern names; with `deep`, `**` stands for any number of directories."""
    path = files.clean(pattern)
    if not _WILD.search(_ESCAPED.sub("", path)):
        path = _ESCAPED.sub(r"\1", path)
        if source.entry(files.resolve(source, path)) is None:
            raise NothingMatched(pattern)
        return [path]
    found = [""]
    for step in path.split("/"):
        if deep and step == "**":
            found = [*dict.fromkeys(below for base in found for below in _below(source, base))]
            continue
        found = [name for base in found for name in _in(source, base, step)]
    return found


def _in(source: Files, base: str, step: str) -> list[str]:
    """What `step` names in a directory."""
    if not _SPECIAL.search(step):
        name = f"{base}/{step}" if base else step
        return [name] if source.entry(files.resolve(source, name)) is not None else []
    test = _compiled(step)
    names = sorted(filter(test.fullmatch, source.children(files.resolve(source, base))))
    return [f"{base}/{name}" if base else name for name in names]


def _compiled(step: str) -> re.Pattern[str]:
    pieces, at = [], 0
    while at < len(step):
        if step.startswith("**", at):
            at += 1  # no more than a single one here
            continue
        try:
            piece, at = ignore.piece(step, at)
        except ignore.BadPattern as error:
            raise DockerfileError(f'pattern "{step}": {error.why}') from None
        pieces.append(piece)
    return re.compile("".join(pieces), re.DOTALL)


def _below(source: Files, base: str) -> list[str]:
    """The directory and all directories in it, at any depth."""
    return [
        path
        for path in files.walk(source, base)
        if (entry := source.entry(path)) is None or entry.kind == tar.DIRECTORY
    ]
