"""Paths inside a root stay there."""

import os

import pytest

from sampan.linux import files


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_links_are_followed_as_the_container_would(root, tmp_path):
    (tmp_path / "root/absolute").symlink_to("/inside")
    os.close(files.make_dirs(root, "/inside"))
    os.close(files.make_dirs(root, "/absolute/a/b"))
    os.close(files.make_file(root, "/absolute/file"))
    assert sorted(os.listdir(tmp_path / "root/inside")) == ["a", "file"]


def test_dots_and_dangling_links_do_not_lead_out(root, tmp_path):
    (tmp_path / "root/up").symlink_to("../../..")
    os.close(files.make_dirs(root, f"/up/{tmp_path.name}/x"))
    assert not (tmp_path / "x").exists()
    (tmp_path / "root/dangling").symlink_to(tmp_path / "created")
    os.close(files.make_dirs(root, "/dangling/y"))
    assert not (tmp_path / "created").exists()
    assert (tmp_path / f"root/{tmp_path}/created/y").is_dir()
    (tmp_path / "root/loop").symlink_to("loop")
    with pytest.raises(OSError):
        files.make_dirs(root, "/loop/z")
