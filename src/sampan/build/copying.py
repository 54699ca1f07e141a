"""COPY and ADD as a layer: first what goes where, then one tar straight from the source.

No snapshot is taken: the layer holds what the instruction names, and the directories on the way
that the stage does not have. `plan` gives the members in their order, `digest` what the cache
compares (contents, modes, owners, names; no times), `write` the tar.
"""

from __future__ import annotations

import fnmatch
import hashlib
import posixpath
import re

from sampan.build import files, ignore, modes
from sampan.build.errors import DockerfileError
from sampan.image import tar
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.build.files import Files
    from sampan.build.instructions.sources import Sources

_WILD = re.compile(r"[*?\[\\]")


class Member(Record):
    """One member of the layer; `source` is where its data lies in `files`, or `data` is it."""

    entry: tar.Entry
    files: Files | None = None
    source: str = ""
    data: bytes = b""


class Part(Record):
    """What one word of the instruction names: a pattern in a tree, or the tree as a whole."""

    files: Files
    pattern: str = ""
    literal: bool = False  # the pattern is a path
    whole: bool = False  # an unpacked archive, a git repository: it keeps its own owners


class NothingMatched(errors.NotFound):
    def __init__(self, pattern: str) -> None:
        super().__init__(f'"{pattern}": no such file or directory in the build context')


def plan(
    instruction: Sources,
    parts: list[Part],
    target: Files,
    *,
    directory: str,
    owner: tuple[int, int] | None,
    parents: bool = False,
    keep_owner: bool = False,
) -> list[Member]:
    """The members of the layer. `directory` is WORKDIR; `target` the stage as it is so far."""
    found = [(part, place) for part in parts for place in _places(part, parents)]
    many = len(found) + len(instruction.inline) > 1
    wanted = posixpath.join("/", directory, instruction.destination)
    into = instruction.destination.endswith(("/", "/.")) or instruction.destination in (".", "")
    place = files.resolve(target, wanted)
    there = target.entry(place)
    if many and not into and (there is None or there.kind != tar.DIRECTORY):
        raise DockerfileError(
            f"When using {instruction.name.upper()} with more than one source file, "
            "the destination must be a directory and end with a /"
        )
    into = into or (there is not None and there.kind == tar.DIRECTORY)
    if instruction.chmod:
        modes.check(instruction.chmod)
    layer = _Layer(target, owner, instruction.chmod)
    excluded = ignore.Matcher(instruction.exclude)
    for part, path in found:
        layer.keep_owner = keep_owner or part.whole
        if parents:
            layer.add_parents(part.files, path, place, _pivot(part.pattern), excluded)
        to = _destination(part, path, place, into, parents)
        layer.add_tree(part.files, path, to, excluded)
    for inline in instruction.inline:
        name = f"{place}/{inline.name}" if into else place
        layer.add_data(name.lstrip("/"), inline.content.encode("utf-8", "surrogateescape"))
    return layer.members()


def _destination(part: Part, path: str, place: str, into: bool, parents: bool) -> str:
    entry = part.files.entry(files.resolve(part.files, path))
    if parents:
        return f"{place}/{path[_pivot(part.pattern) :]}".strip("/")
    if entry is not None and entry.kind == tar.DIRECTORY:
        return place  # a directory's contents, not itself
    return f"{place}/{posixpath.basename(path)}".lstrip("/") if into else place


def _pivot(pattern: str) -> int:
    """Where in a match the part begins that --parents keeps: behind `/./`, else at its start."""
    before, mark, _ = pattern.partition("/./")
    base = files.clean(before) if mark else ""
    return len(base) + 1 if base else 0


def _places(part: Part, deep: bool) -> list[str]:
    if part.whole:
        return [""]
    return [part.pattern] if part.literal else matches(part.files, part.pattern, deep=deep)


def matches(source: Files, pattern: str, *, deep: bool = False) -> list[str]:
    """The paths that a pattern names; with `deep`, `**` stands for any number of directories."""
    path = files.clean(pattern)
    if not _WILD.search(path):
        if source.entry(files.resolve(source, path)) is None:
            raise NothingMatched(pattern)
        return [path]
    found = [""]
    for step in path.split("/"):
        if deep and step == "**":
            found = [*dict.fromkeys(below for base in found for below in _below(source, base))]
            continue
        test = re.compile(fnmatch.translate(step.replace("[^", "[!").replace("\\", "")))
        found = [
            f"{base}/{name}" if base else name
            for base in found
            for name in sorted(source.children(base))
            if test.match(name)
        ]
    if not found:
        raise NothingMatched(pattern)
    return found


def _below(source: Files, base: str) -> list[str]:
    """The directory and all directories in it, at any depth."""
    return [
        path
        for path in files.walk(source, base)
        if (entry := source.entry(path)) is None or entry.kind == tar.DIRECTORY
    ]


class _Layer:
    def __init__(self, target: Files, owner: tuple[int, int] | None, mode: str) -> None:
        self._target, self._owner, self._mode = target, owner, mode
        self.keep_owner = False
        self._members: dict[str, Member] = {}

    def members(self) -> list[Member]:
        return [self._members[name] for name in sorted(self._members)]

    def add_parents(
        self, source: Files, path: str, place: str, pivot: int, excluded: ignore.Matcher
    ) -> None:
        """The directories that lead to `path`, with the attributes that they have there."""
        steps = path.split("/")[:-1]
        for count in range(1, len(steps) + 1):
            above = "/".join(steps[:count])
            entry = source.entry(above)
            if len(above) < pivot or entry is None or excluded.ignores(above):
                continue
            name = f"{place}/{above[pivot:]}".strip("/")
            if name and name not in self._members:
                self._add(name, entry, source, above)

    def add_tree(
        self, source: Files, path: str, destination: str, excluded: ignore.Matcher
    ) -> None:
        top = files.resolve(source, path)
        for place in files.walk(source, top):
            below = place[len(top) :].strip("/")
            if (below and excluded.ignores(below)) or (not below and excluded.ignores(path)):
                continue
            entry = source.entry(place)
            name = f"{destination}/{below}".strip("/") if below else destination
            if entry is not None and name:
                self._add(name, entry, source, place)

    def _add(self, name: str, entry: tar.Entry, source: Files, place: str) -> None:
        self.add_directories(name)
        present = self._target.entry(name)
        both = entry.kind == tar.DIRECTORY and present is not None
        if both and present is not None and present.kind == tar.DIRECTORY and not self._mode:
            return  # what is there keeps its attributes
        made = tar.Entry(name, entry.kind, mode=entry.mode, size=entry.size)
        made.link, made.device, made.xattrs = entry.link, entry.device, entry.xattrs
        made.mtime = entry.mtime // 10**9 * 10**9
        self._own(made, (entry.uid, entry.gid) if self.keep_owner else (0, 0))
        if self._mode and entry.kind != tar.SYMLINK:
            directory = entry.kind == tar.DIRECTORY
            made.mode = modes.changed(self._mode, entry.mode, directory=directory)
        if entry.kind == tar.REGULAR:
            self._members[name] = Member(entry=made, files=source, source=place)
        else:
            self._members[name] = Member(entry=made)

    def add_data(self, name: str, data: bytes) -> None:
        self.add_directories(name)
        made = tar.Entry(name, mode=0o644, size=len(data))
        if self._mode:
            made.mode = modes.changed(self._mode, made.mode, directory=False)
        self._own(made, (0, 0))
        self._members[name] = Member(entry=made, data=data)

    def _own(self, entry: tar.Entry, usual: tuple[int, int]) -> None:
        entry.uid, entry.gid = self._owner or usual

    def add_directories(self, name: str) -> None:
        """Those that lead to `name` and are missing in the stage."""
        parent = posixpath.dirname(name)
        if not parent or parent in self._members or self._target.entry(parent) is not None:
            return
        self.add_directories(parent)
        made = tar.Entry(parent, tar.DIRECTORY, mode=0o755)
        self._own(made, (0, 0))
        self._members[parent] = Member(entry=made)


def directories(target: Files, path: str, owner: tuple[int, int]) -> list[Member]:
    """What WORKDIR makes: the directories on the way that are missing."""
    place = files.resolve(target, path)
    if not place or target.entry(place) is not None:
        return []
    layer = _Layer(target, owner, "")
    layer.add_directories(f"{place}/")
    return layer.members()


def digest(members: list[Member]) -> str:
    """Of all that makes the layer but its times."""
    total = hashlib.sha256()
    for member in members:
        entry = member.entry
        head = (entry.name, entry.kind, entry.mode, entry.uid, entry.gid, entry.link, entry.size)
        total.update(repr((*head, entry.device, sorted(entry.xattrs.items()))).encode())
        total.update(member.data)
        if member.files is not None:
            total.update(member.files.digest(member.source))
    return total.hexdigest()


def write(members: list[Member], out: Callable[[bytes], object], latest: int | None) -> None:
    """The layer's tar; no member is younger than `latest` (SOURCE_DATE_EPOCH, seconds)."""
    writer = tar.Writer(out, latest=latest)
    for member in members:
        writer.begin(member.entry)
        if member.files is not None:
            member.files.copy(member.source, out)
        else:
            out(member.data)
        writer.pad(member.entry.size)
    writer.finish()
