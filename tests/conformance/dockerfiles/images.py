"""What an image is, as lines that two builders must agree on.

`describe(archive, base)` reads what `docker save` or `buildah push docker-archive:` wrote: the
config, the tree where it is not the base's, and which instructions of the history made layers.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import posixpath
import tarfile
from typing import Any, NamedTuple

from tests.conformance.dockerfiles import OLD

CONFIG = (
    "User", "Env", "Entrypoint", "Cmd", "Shell", "WorkingDir", "Volumes", "ExposedPorts", "Labels",
    "StopSignal", "Healthcheck", "OnBuild",
)  # fmt: skip
KINDS = {
    tarfile.DIRTYPE: "d", tarfile.REGTYPE: "f", tarfile.SYMTYPE: "l", tarfile.FIFOTYPE: "p",
    tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b",
}  # fmt: skip
# Mount points that one builder leaves in a RUN's layer and the other does not.
MOUNT_POINTS = {"dev", "proc", "sys", "etc/hosts", "etc/resolv.conf", "etc/hostname", "run"}


class Image(NamedTuple):
    config: dict[str, Any]
    tree: dict[str, str]  # path → its line


@functools.lru_cache(maxsize=2)  # the base, again and again
def read(archive: bytes) -> Image:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        (manifest,) = json.loads(_member(packed, "manifest.json"))
        config = json.loads(_member(packed, manifest["Config"]))
        tree: dict[str, str] = {}
        for layer in manifest["Layers"] or ():  # BuildKit says null of none
            _apply(tree, _member(packed, layer))
    return Image(config, tree)


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    # Layers of one content are links to each other in what buildah writes.
    file = packed.extractfile(name)
    assert file is not None, name
    return file.read()


def _apply(tree: dict[str, str], layer: bytes) -> None:
    """An OCI layer over a tree. image-spec/layer.md: "Applying Changesets"."""
    made: set[str] = set()
    groups: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as packed:
        for member in packed:
            name = posixpath.normpath("/" + member.name).lstrip("/")
            above, base = posixpath.split(name)
            if base == ".wh..wh..opq":
                _remove(tree, f"{above}/", keep=made)
            elif base.startswith(".wh."):
                _remove(tree, posixpath.join(above, base[4:]), keep=set())
                _remove(tree, posixpath.join(above, base[4:]) + "/", keep=set())
            elif name:
                made.add(name)
                if not member.isdir():
                    _remove(tree, f"{name}/", keep=set())
                tree[name] = _line(packed, member, tree, groups, name)
    for names in groups.values():
        for name in names:
            tree[name] += f" = {' '.join(other for other in sorted(names) if other != name)}"


def _remove(tree: dict[str, str], start: str, keep: set[str]) -> None:
    for name in [*tree]:
        if (name == start or (start.endswith("/") and name.startswith(start))) and name not in keep:
            del tree[name]


def _line(
    packed: tarfile.TarFile,
    member: tarfile.TarInfo,
    tree: dict[str, str],
    groups: dict[str, list[str]],
    name: str,
) -> str:
    if member.islnk():
        first = posixpath.normpath("/" + member.linkname).lstrip("/")
        groups.setdefault(first, [first]).append(name)
        return tree[first]
    words = [KINDS[member.type], f"{member.mode & 0o7777:o}", f"{member.uid}:{member.gid}"]
    if member.issym():
        words += ["->", member.linkname]
    elif member.ischr() or member.isblk():
        words.append(f"{member.devmajor},{member.devminor}")
    elif member.isreg():
        file = packed.extractfile(member)
        assert file is not None
        words.append(_content(file.read()))
        words += [f"mtime={int(member.mtime)}"] if member.mtime < OLD * 1.5 else []
    for key, value in sorted(member.pax_headers.items()):
        if key.startswith("SCHILY.xattr."):
            words.append(f"{key[13:]}={value!r}")
    return " ".join(words)


def _content(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    if len(text) < 60 and "\ufffd" not in text:
        return json.dumps(text)
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:12]}"


def describe(archive: bytes, base: bytes) -> str:
    image, below = read(archive), read(base)
    lines = [f"{key} {json.dumps(value, sort_keys=True)}" for key, value in _config(image.config)]
    for name in sorted(image.tree.keys() | below.tree.keys()):
        line = image.tree.get(name, "gone")
        # The base's tree is no part of an image that does not start from it.
        if line != below.tree.get(name) and (line != "gone" or "bin/sh" in image.tree):
            lines += [] if name in MOUNT_POINTS else [f"/{name} {line}"]
    return "".join(f"{line}\n" for line in [*lines, f"history {history(image.config)}"])


def _config(config: dict[str, Any]) -> list[tuple[str, Any]]:
    inner = config.get("config") or {}
    found = [(key, config[key]) for key in ("author", "variant") if config.get(key)]
    for key in CONFIG:
        value = inner.get(key)
        if key == "Labels":
            value = {k: v for k, v in (value or {}).items() if not k.startswith("io.buildah.")}
        if value and (key, value) != ("WorkingDir", "/"):
            found.append((key, value))
    return found


def history(config: dict[str, Any]) -> str:
    """The instructions in their order; `+` at one that made a layer."""
    words = []
    for entry in config.get("history") or []:
        text = entry.get("created_by", "").removeprefix("/bin/sh -c #(nop)").strip()
        word = text.partition(" ")[0]
        word = word if word.isupper() and word.isalpha() else "RUN"
        # WORKDIR makes its directory in BuildKit, in buildah the next step that needs it does.
        words.append(word if entry.get("empty_layer") or word == "WORKDIR" else f"{word}+")
    return " ".join(words)
