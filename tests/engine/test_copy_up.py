"""What an empty volume gets of an image: what a container would see there, layers merged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sampan.engine.containers.copy_up import copy_up

pytestmark = pytest.mark.needs("mount")


def make(layer: Path, **files: str) -> None:
    """`a__b="x"` is the file a/b; the text `-` hides the name in the layers below."""
    for name, text in files.items():
        path = layer / "srv" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text == "-":
            os.mknod(path, stat.S_IFCHR, 0)
        else:
            path.write_text(text)


def content(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in files}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = tmp_path / "volume", tmp_path / "upper", tmp_path / "lower"
    for place in made:
        place.mkdir()
    return made


def test_layers_are_merged_as_overlayfs_does(places: tuple[Path, Path, Path]) -> None:
    volume, upper, lower = places
    make(lower, kept="old", changed="old", gone="old", dir__below="old", hidden__below="old")
    make(upper, changed="new", gone="-", dir__beside="new", hidden__beside="new")
    os.setxattr(upper / "srv/hidden", "trusted.overlay.opaque", b"y")
    copy_up(str(volume), [str(upper), str(lower)], "/srv")
    assert content(volume) == {
        "kept": "old",
        "changed": "new",
        "dir/below": "old",
        "dir/beside": "new",
        "hidden/beside": "new",
    }
    assert not (volume / "gone").exists()


def test_a_place_that_is_hidden_or_no_directory_gives_nothing(
    places: tuple[Path, Path, Path],
) -> None:
    volume, upper, lower = places
    make(lower, data__file="old", link__file="old")
    make(upper, data="-")
    (upper / "srv/link").symlink_to("/etc")
    for where in ("/srv/data", "/srv/link", "/srv/none"):
        copy_up(str(volume), [str(upper), str(lower)], where)
    assert content(volume) == {}


def test_attributes_and_links_are_kept(places: tuple[Path, Path, Path]) -> None:
    volume, _, lower = places
    make(lower, file="x" * 100_000)
    os.chown(lower / "srv", 7, 8)
    os.chmod(lower / "srv", 0o2750)
    os.chown(lower / "srv/file", 12, 34)
    os.chmod(lower / "srv/file", 0o4711)
    os.setxattr(lower / "srv/file", "user.note", b"kept")
    os.utime(lower / "srv/file", ns=(10**18, 10**18))
    os.link(lower / "srv/file", lower / "srv/twin")
    os.symlink("file", lower / "srv/soft")
    copy_up(str(volume), [str(lower)], "/srv")
    status = (volume / "file").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4711)
    assert (status.st_mtime_ns, status.st_size, status.st_nlink) == (10**18, 100_000, 2)
    assert os.getxattr(volume / "file", "user.note") == b"kept"
    assert os.readlink(volume / "soft") == "file"
    top = volume.stat()
    assert (top.st_uid, top.st_gid, stat.S_IMODE(top.st_mode)) == (7, 8, 0o2750)
