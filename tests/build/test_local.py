"""A context that is a directory of this machine: the same tree as its tar's, read only once."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from sampan.build import digests, files, local, walking
from sampan.build.context import Context
from sampan.cli import building


def lying(place: Path, index: Path | None = None, *, began: int | None = None) -> local.Directory:
    known = digests.Digests(str(index) if index else "")
    kept = walking.needed("Dockerfile")
    matcher = walking.matcher(str(place), "Dockerfile")
    return local.Directory(str(place), matcher, kept, known, began=began)


def sent(place: Path) -> list[tuple[object, ...]]:
    with open(place.parent / "spool", "w+b") as spool:
        return told(Context(spool, building.packed(str(place), "Dockerfile")))


def told(tree: files.Files) -> list[tuple[object, ...]]:
    found = []
    for path in files.walk(tree, ""):
        entry = tree.entry(path)
        assert entry is not None
        data = tree.digest(path) if entry.kind == 0 and path else b""
        found.append((path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size,
                      entry.link, entry.device, entry.xattrs, data))  # fmt: skip
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "context"
    (place / "deep/er").mkdir(parents=True)
    (place / "Dockerfile").write_text("FROM scratch\n")
    (place / "a").write_text("one")
    (place / "deep/er/b").write_bytes(b"\0" * 3000)
    return place


def later() -> int:
    """A build that begins long after all files were written."""
    return time.time_ns() + 60 * 10**9


def read(tree: files.Files, path: str) -> bytes:
    parts: list[bytes] = []
    tree.copy(path, parts.append)
    return b"".join(parts)


def test_it_looks_as_if_its_tar_had_come(place: Path) -> None:
    (place / ".dockerignore").write_text("gone\n*.log\n!gone/but/this\nDockerfile\n")
    (place / "gone/but").mkdir(parents=True, mode=0o700)
    for name in ("gone/not", "gone/but/this", "x.log", "dé \udcff"):
        (place / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    (place / "deep/out").symlink_to("../../../etc/passwd")
    os.link(place / "a", place / "deep/a")
    os.mkfifo(place / "fifo", 0o640)
    os.chmod(place / "a", 0o4755)
    os.setxattr(place / "a", "user.note", b"kept")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "socket"))
        tree = lying(place)
        assert told(tree) == sent(place)
    names = list(files.walk(tree, ""))
    assert "gone/but/this" in names and "deep/out" in names and "fifo" in names
    assert not {"gone/not", "x.log", "socket"} & {*names}
    assert read(tree, "deep/er/b") == b"\0" * 3000


def test_a_file_that_has_not_changed_is_not_read_again(place: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = lying(place, index, began=later())
    right = first.digest("a")
    first.save()
    index.write_bytes(index.read_bytes().replace(right.hex().encode(), b"0" * 64))
    again = lying(place, index, began=later())
    assert again.digest("a") == bytes(32), "it was read although the index knows it"
    with pytest.raises(local.Changed):
        read(again, "a")  # what becomes a layer is what its digest says


@pytest.mark.parametrize("change", ["content", "mode", "other file"])
def test_a_changed_file_is_read_again_though_size_and_time_are_the_same(
    place: Path, tmp_path: Path, change: str
) -> None:
    index, path = tmp_path / "index", place / "a"
    first = lying(place, index, began=later())
    right = first.digest("a").hex().encode()
    first.save()
    index.write_bytes(index.read_bytes().replace(right, b"0" * 64))
    before = path.stat()
    if change == "content":
        path.write_text("two")
    elif change == "mode":
        path.chmod(0o600)
    else:
        (place / "new").write_text("two")
        os.rename(place / "new", path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert lying(place, index).digest("a") != bytes(32)


def test_a_file_as_young_as_the_build_is_read_again(place: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = lying(place, index, began=(place / "a").stat().st_ctime_ns)
    first.digest("a")
    first.save()
    assert not index.exists()


def test_what_has_extended_attributes_keeps_them(place: Path, tmp_path: Path) -> None:
    os.setxattr(place / "a", "user.note", b"kept")
    for _ in range(2):
        tree = lying(place, tmp_path / "index", began=later())
        entry = tree.entry("a")
        tree.digest("a")
        tree.save()
        assert entry is not None
        assert entry.xattrs == {"user.note": b"kept"}


def test_files_that_are_gone_are_forgotten(place: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    first = lying(place, index, began=later())
    first.digest("a"), first.digest("deep/er/b")
    first.save()
    (place / "a").unlink()
    lying(place, index).save()
    assert "deep/er/b" in index.read_text()
    assert '"a"' not in index.read_text()


@pytest.mark.parametrize("index", [b"", b"{}\n{}", b'{"boot":1}\n', b"\xff\0", b"[]\n[]"])
def test_a_broken_index_is_as_good_as_none(place: Path, tmp_path: Path, index: bytes) -> None:
    (tmp_path / "index").write_bytes(index)
    assert lying(place, tmp_path / "index").digest("a") == lying(place).digest("a")


def test_a_file_that_vanishes_shrinks_or_becomes_a_link_is_named(place: Path) -> None:
    tree = lying(place)
    tree.digest("a")
    (place / "a").write_text("two")
    with pytest.raises(local.Changed, match='"/a": it changed while the build read it'):
        read(tree, "a")
    tree = lying(place)
    (place / "a").write_text("")
    with pytest.raises(local.Changed):
        tree.digest("a")
    (place / "a").unlink()
    with pytest.raises(local.Changed):
        tree.digest("a")
    (place / "a").symlink_to("/etc/passwd")
    with pytest.raises(local.Changed):
        tree.digest("a")
    os.rename(place / "deep", place / "was")
    (place / "deep").symlink_to("/")
    with pytest.raises(local.Changed):
        tree.digest("deep/er/b")


def test_what_grows_is_cut_off_where_it_was(place: Path) -> None:
    tree = lying(place)
    with open(place / "a", "a") as file:
        file.write(" and more")
    tree.digest("a")
    assert read(tree, "a") == b"one"


def test_the_budget_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    root = str(tmp_path)
    for number, name in enumerate(("old", "new")):
        known = digests.kept(root, f"/{name}")
        known.note("a", [number], bytes(32))
        known.save({"a": [number]})
        (path,) = [
            f"{digests.place(root)}/{n}" for n, of, _ in digests.listed(root) if of == f"/{name}"
        ]
        os.utime(path, (number, number))
    digests.shrink(root, os.stat(path).st_size)
    assert [of for _, of, _ in digests.listed(root)] == ["/new"]
