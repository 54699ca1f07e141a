"""COPY and ADD as a layer: first what goes where, then one tar straight from the source.

No snapshot is taken: the layer holds what the instruction names, and the directories on the way
that the stage does not have. `plan` gives the members in their order, `digest` what the cache
compares (contents, modes, owners, names; no times), `write` the tar.
"""

from __future__ import annotations

import hashlib
import posixpath

from sampan.build import files, globbing, ignore, modes
from sampan.build.errors import DockerfileError
from sampan.image import tar
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from sampan.build.files import Files
    from sampan.build.instructions.sources import Sources


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
    unpacked: bool = False  # an archive: as if tar(1) had been at work
    implied: Container[str] = ()  # its directories that are made where they are missing only


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
    several = len(found) + len(instruction.inline) > 1
    # Archives and directories give what is in them, which may as well lie together.
    many = several and (bool(instruction.inline) or any(_is_file(*one) for one in found))
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
        layer.add_tree(part, path, to, excluded, itself=parents and to != place.strip("/"))
    for inline in instruction.inline:
        name = f"{place}/{inline.name}" if into else place
        layer.add_data(name.lstrip("/"), inline.content.encode("utf-8", "surrogateescape"))
    return layer.members()


def _is_file(part: Part, path: str) -> bool:
    entry = None if part.unpacked else part.files.entry(files.resolve(part.files, path))
    return entry is not None and entry.kind != tar.DIRECTORY


def _destination(part: Part, path: str, place: str, into: bool, parents: bool) -> str:
    entry = part.files.entry(files.resolve(part.files, path))
    if parents:
        return "/".join([place, *path.split("/")[_pivot(part.pattern) :]]).strip("/")
    if entry is not None and entry.kind == tar.DIRECTORY:
        return place  # a directory's contents, not itself
    return f"{place}/{posixpath.basename(path)}".lstrip("/") if into else place


def _pivot(pattern: str) -> int:
    """How many names of a match --parents leaves out: those before `/./`."""
    before, mark, _ = pattern.partition("/./")
    base = files.clean(before) if mark else ""
    return len(base.split("/")) if base else 0


def _places(part: Part, deep: bool) -> list[str]:
    if part.whole:
        return [""]
    return [part.pattern] if part.literal else globbing.matches(part.files, part.pattern, deep=deep)


class _Layer:
    def __init__(self, target: Files, owner: tuple[int, int] | None, mode: str) -> None:
        self._target, self._owner, self._mode = target, owner, mode
        self.keep_owner = False
        self._members: dict[str, Member] = {}

    def members(self) -> list[Member]:
        # A hard link stands behind the name that it leads to.
        return [self._members[name] for name in sorted(self._members, key=self._order)]

    def _order(self, name: str) -> tuple[bool, str]:
        return self._members[name].entry.kind == tar.HARD_LINK, name

    def add_parents(
        self, source: Files, path: str, place: str, pivot: int, excluded: ignore.Matcher
    ) -> None:
        """The directories that lead to `path`, with the attributes that they have there."""
        steps = path.split("/")[:-1]
        for count in range(1, len(steps) + 1):
            above = "/".join(steps[:count])
            entry = source.entry(above)
            if count <= pivot or entry is None or excluded.ignores(above):
                continue
            name = "/".join([place, *steps[pivot:count]]).strip("/")
            if name and name not in self._members:
                self._add(name, entry)

    def add_tree(
        self, part: Part, path: str, to: str, excluded: ignore.Matcher, *, itself: bool
    ) -> None:
        """A file, or the contents of a directory; `itself`: with the directory's attributes."""
        top = files.resolve(part.files, path)
        first: dict[Hashable, str] = {}  # the names of files that have several
        for place in files.walk(part.files, top):
            below = place[len(top) :].strip("/")
            if (below and excluded.ignores(below)) or (not below and excluded.ignores(path)):
                continue
            # What an archive says of its own top changes nothing.
            entry = part.files.entry(place) if below or not part.whole else None
            name = f"{to}/{below}".strip("/") if below else to
            if below and part.unpacked:
                name = self._through_links(below, to)
                if below in part.implied and self.entry(name) is not None:
                    continue
            if not below and (entry is None or (entry.kind == tar.DIRECTORY and not itself)):
                self.add_directories(f"{name}/" if name else "", plain=part.unpacked)
            elif entry is not None and name:
                shared = part.files.shared(place) if entry.kind == tar.REGULAR else None
                link = first.setdefault(shared, name) if shared is not None else name
                self._add(name, entry, part, place, "" if link == name else link)

    def _add(
        self,
        name: str,
        entry: tar.Entry,
        part: Part | None = None,
        place: str = "",
        link: str = "",
    ) -> None:
        replaces = part is not None and part.unpacked
        self.add_directories(name, plain=replaces)
        if not replaces:
            self._fits(name, entry)
        made = tar.Entry(name, entry.kind, mode=entry.mode, size=entry.size)
        made.link, made.device, made.xattrs = entry.link, entry.device, entry.xattrs
        made.mtime = entry.mtime // 10**9 * 10**9
        self._own(made, (entry.uid, entry.gid) if self.keep_owner else (0, 0))
        if self._mode and entry.kind != tar.SYMLINK and not replaces:
            directory = entry.kind == tar.DIRECTORY
            made.mode = modes.changed(self._mode, entry.mode, directory=directory)
        if link:
            made.kind, made.link, made.size, made.xattrs = tar.HARD_LINK, link, 0, {}
        if made.kind == tar.REGULAR and part is not None:
            self._put(name, Member(entry=made, files=part.files, source=place))
        else:
            self._put(name, Member(entry=made))

    def _put(self, name: str, member: Member) -> None:
        old = self._members.pop(name, None)
        self._members[name] = member
        if old is None or old.entry.kind != tar.REGULAR:
            return
        # What was linked to the file that goes keeps its content.
        links = [m.entry for m in self._members.values() if m.entry.kind == tar.HARD_LINK]
        heirs = [entry.name for entry in links if entry.link == name]
        if heirs:
            old.entry.name = heirs[0]
            self._members[heirs[0]] = old
        for heir in heirs[1:]:
            self._members[heir].entry.link = heirs[0]

    def _fits(self, name: str, entry: tar.Entry) -> None:
        """A directory and a file do not take each other's place; archives may."""
        present = self.entry(name)
        if present is None or (present.kind == tar.DIRECTORY) == (entry.kind == tar.DIRECTORY):
            return
        if entry.kind == tar.DIRECTORY:
            raise DockerfileError(f"cannot copy a directory to /{name}, which is none")
        raise DockerfileError(f"cannot replace the directory /{name} with a file")

    def _through_links(self, name: str, top: str) -> str:
        """Where tar(1) with `top` as its root puts it: behind the links that lead there, of the
        stage or just made."""
        above, base = posixpath.split(name)
        place = files.resolve(_Inside(self, top), above)
        return "/".join(part for part in (top, place, base) if part)

    def entry(self, name: str) -> tar.Entry | None:
        """What is there by now."""
        made = self._members.get(name)
        return made.entry if made else self._target.entry(name)

    def add_data(self, name: str, data: bytes) -> None:
        self.add_directories(name)
        made = tar.Entry(name, mode=0o644, size=len(data))
        self._fits(name, made)
        if self._mode:
            made.mode = modes.changed(self._mode, made.mode, directory=False)
        self._own(made, (0, 0))
        self._put(name, Member(entry=made, data=data))

    def _own(self, entry: tar.Entry, usual: tuple[int, int]) -> None:
        entry.uid, entry.gid = self._owner or usual

    def add_directories(self, name: str, *, plain: bool = False) -> None:
        """Those that lead to `name` and are missing in the stage: root's, or who --chown names.
        `plain`: --chmod is not for them."""
        parent = posixpath.dirname(name)
        if not parent:
            return
        present = self.entry(parent)
        if present is not None:
            if present.kind not in (tar.DIRECTORY, tar.SYMLINK):
                raise DockerfileError(f"/{parent} is a file: nothing can be put below it")
            return
        self.add_directories(parent, plain=plain)
        octal = None if plain else modes.octal(self._mode)
        made = tar.Entry(parent, tar.DIRECTORY, mode=0o755 if octal is None else octal)
        self._own(made, (0, 0))
        self._members[parent] = Member(entry=made)


class _Inside:
    """What is there by now below a directory."""

    def __init__(self, layer: _Layer, top: str) -> None:
        self._layer, self._top = layer, top

    def entry(self, path: str) -> tar.Entry | None:
        return self._layer.entry(f"{self._top}/{path}".strip("/"))


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


def write(members: list[Member], writer: tar.Writer) -> None:
    """The layer's tar."""
    for member in members:
        writer.begin(member.entry)
        if member.files is not None:
            member.files.copy(member.source, writer.data)
        else:
            writer.data(member.data)
        writer.pad(member.entry.size)
    writer.finish()
