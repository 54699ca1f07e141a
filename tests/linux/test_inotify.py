import os

import pytest

from sampan.linux import inotify
from sampan.linux.inotify import IN


def test_a_file_that_grows_and_is_replaced(tmp_path):
    fd = inotify.create()
    try:
        wd = inotify.add_watch(fd, str(tmp_path), IN.MODIFY | IN.MOVED_TO)
        assert inotify.read(fd) == []
        (tmp_path / "log").write_bytes(b"x")
        os.rename(tmp_path / "log", tmp_path / "log.1")
        modified, moved = inotify.read(fd)
        assert (modified.wd, modified.mask, modified.name) == (wd, IN.MODIFY, "log")
        assert (moved.mask, moved.name) == (IN.MOVED_TO, "log.1")
        inotify.remove_watch(fd, wd)
        assert [event.mask for event in inotify.read(fd)] == [IN.IGNORED]
    finally:
        os.close(fd)


def test_a_missing_file_is_named(tmp_path):
    fd = inotify.create()
    try:
        with pytest.raises(FileNotFoundError) as caught:
            inotify.add_watch(fd, f"{tmp_path}/none", IN.MODIFY)
        assert caught.value.filename == f"{tmp_path}/none"
    finally:
        os.close(fd)
