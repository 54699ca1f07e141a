"""Small Dockerfiles, each about one behaviour, and what they become.

The `.txt` files here hold them:

    == NAME: what it is about
    -- args V=1                    --build-arg; also `-- target STAGE`, `-- PEER reason`
    -- Dockerfile
    FROM base
    -- file deep/a 600             content follows; the mode may be left out
    -- dir empty 711, -- link l to, -- hard l to
    -- tar a.tar.gz                `NAME MODE UID:GID [TEXT | -> LINK | => HARD LINK]` a line
    -- parent                      a Dockerfile that is built first, as the image `parent`
    -- image                       what the last one becomes: `images.describe`
    -- fails                       or: what is said

`-- buildah` says why Debian's buildah (1.28) makes something else of it, `-- buildkit` why BuildKit
(of 2026-08-21) does.
"""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
PEERS = ("buildah", "buildkit")
OLD = 1_000_000_000  # the mtime, seconds, of all that comes from a context


@dataclass
class Case:
    name: str
    about: str
    path: Path
    args: list[str] = field(default_factory=list)
    target: str = ""
    differs: dict[str, str] = field(default_factory=dict)  # peer → why
    parts: list[tuple[str, str]] = field(default_factory=list)  # heading, text

    def text(self, heading: str) -> str | None:
        return next((text for head, text in self.parts if head == heading), None)


def cases() -> list[Case]:
    found: list[Case] = []
    for path in sorted(HERE.glob("*.txt")):
        for line in path.read_text().splitlines(keepends=True):
            _read(line, path, found)
    return found


def written(case: Case) -> str:
    """The case, as it stands in its table."""
    notes = [f"== {case.name}: {case.about}"]
    notes += [f"-- args {arg}" for arg in case.args]
    notes += [f"-- target {case.target}"] if case.target else []
    notes += [f"-- {peer} {reason}" for peer, reason in case.differs.items()]
    parts = [f"-- {heading}\n{text.rstrip()}\n" for heading, text in case.parts]
    return "".join([*(f"{note}\n" for note in notes), *parts])


def _read(line: str, path: Path, found: list[Case]) -> None:
    if line.startswith("== "):
        name, _, about = line[3:].strip().partition(": ")
        found.append(Case(name, about, path))
        return
    if not line.startswith("-- "):
        if found and found[-1].parts:
            heading, text = found[-1].parts[-1]
            found[-1].parts[-1] = (heading, text + line)
        return
    word, _, rest = line[3:].strip().partition(" ")
    if word == "args":
        found[-1].args += rest.split()
    elif word == "target":
        found[-1].target = rest
    elif word in PEERS:
        found[-1].differs[word] = rest
    else:
        found[-1].parts.append((line[3:].strip(), ""))


def write_context(case: Case, top: Path) -> None:
    for heading, text in case.parts:
        word, *rest = heading.split()
        if word == "file":
            _file(top / rest[0], text.encode(), int(rest[1], 8) if len(rest) > 1 else 0o644)
        elif word == "dir":
            (top / rest[0]).mkdir(parents=True, exist_ok=True)
            (top / rest[0]).chmod(int(rest[1], 8))
        elif word == "link":
            (top / rest[0]).parent.mkdir(parents=True, exist_ok=True)
            (top / rest[0]).symlink_to(rest[1])
        elif word == "hard":
            (top / rest[0]).hardlink_to(top / rest[1])
        elif word == "tar":
            _file(top / rest[0], archive(text, rest[0]), 0o644)
    for directory, names, files in os.walk(top, topdown=False):
        for name in [*names, *files]:
            os.utime(f"{directory}/{name}", (OLD, OLD), follow_symlinks=False)


def _file(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def archive(text: str, name: str) -> bytes:
    """Packed as the name says."""
    out = io.BytesIO()
    packing = name.rpartition(".")[2]
    mode = f"w:{packing}" if packing in ("gz", "bz2", "xz") else "w:"
    with tarfile.open(fileobj=out, mode=mode) as packed:
        for line in text.splitlines():
            path, permissions, owner, *words = line.split()
            member = tarfile.TarInfo(path.rstrip("/"))
            member.mode, member.mtime = int(permissions, 8), OLD
            member.uid, member.gid = map(int, owner.split(":"))
            data = " ".join(words).encode()
            if path.endswith("/"):
                member.type, data = tarfile.DIRTYPE, b""
            elif words[:1] in (["->"], ["=>"]):
                member.type = tarfile.SYMTYPE if words[0] == "->" else tarfile.LNKTYPE
                member.linkname, data = words[1], b""
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return out.getvalue()
