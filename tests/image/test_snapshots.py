import contextlib
import io
import os
import time
from pathlib import Path

import pytest

from sampan.image import worker
from sampan.image.content import FileStore, add
from sampan.image.erofs_snapshots import Erofs
from sampan.image.native import Native
from sampan.image.snapshots import Overlay
from sampan.kit import errors
from sampan.linux.mount import mount

from .snapshotter_contract import BASE, ONE, SnapshotterContract, put_layers, sha


class TestOverlay(SnapshotterContract):
    @pytest.fixture
    def snapshots(self, tmp_path):
        return Overlay(str(tmp_path / "root"))


@pytest.mark.needs("erofs")
class TestErofs(SnapshotterContract):
    """Read as files, which overlayfs takes as they are held (Linux 6.15)."""

    backing, held = "file", True

    @pytest.fixture
    def snapshots(self, tmp_path):
        made = Erofs(str(tmp_path / "root"), backing=self.backing, held=self.held)
        yield made
        made.close()
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        loops_are_free(str(tmp_path))


class TestErofsAttached(TestErofs):
    """The way of Linux 6.12 to 6.14."""

    held = False


@pytest.mark.needs("erofs-loop")
class TestErofsByLoopDevice(TestErofs):
    """The way of a tmpfs."""

    backing = "loop"


@pytest.mark.needs("erofs-loop")
class TestErofsByLoopDeviceAttached(TestErofs):
    """The way of kernels before Linux 6.12."""

    backing, held = "loop", False


class TestNative(SnapshotterContract):
    @pytest.fixture
    def snapshots(self, tmp_path):
        return Native(str(tmp_path / "root"))


@pytest.mark.needs("mount")
def test_a_full_disk_leaves_no_layer(tmp_path, own_mounts):
    def body():
        mount("tmpfs", str(tmp_path), "tmpfs", data="size=256k")
        snapshots = Overlay(str(tmp_path))
        layer = b"".join(BASE for _ in range(1))
        put_layers(snapshots, layer)
        from .archives import archive, member

        large = archive(member("large", data=bytes(1 << 20)))
        with pytest.raises(OSError, match="No space left"):
            snapshots.unpack("sha256:" + "9" * 64, ONE, io.BytesIO(large), sha(large))
        assert list(snapshots.layers()) == [ONE]
        assert not list(tmp_path.rglob("large"))

    own_mounts(body)


def loops_are_free(path):
    """A device lets its file go soon after its last user has gone, not at once."""
    end = time.monotonic() + 10
    while any(path in name for name in backing_files()):
        assert time.monotonic() < end


def backing_files():
    """Of all loop devices of the host, of which others may just be let go."""
    for place in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            yield place.read_text()


def job(root, kind, data, diff_id):
    layer = add(FileStore(root), data)
    return worker.command(root, kind=kind, layer=layer, chain_id=ONE, parent=None, diff_id=diff_id)


def run(command):
    import subprocess

    return worker.outcome(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("kind", [Overlay, Erofs])
def test_a_process_of_its_own_unpacks(tmp_path, kind):
    assert run(job(str(tmp_path), kind.directory, BASE, sha(BASE)))["entries"] == 11
    assert kind(str(tmp_path)).has(ONE)


@pytest.mark.parametrize("kind", ["overlay", "erofs"])
def test_its_errors_are_raised_here(tmp_path, kind):
    with pytest.raises(errors.InvalidArgument, match="the image's config says"):
        run(job(str(tmp_path), kind, BASE, "sha256:" + "0" * 64))
    with pytest.raises(errors.Unavailable, match="was killed"):
        worker.outcome(b"")
    assert os.listdir(tmp_path / f"snapshots/{kind}/l") == ["by-chain"]
