import io
import os

import pytest

from sampan.image import snapshots as room
from sampan.image import worker
from sampan.image.content import FileStore, add
from sampan.image.native import Native
from sampan.image.snapshots import Overlay
from sampan.kit import errors
from sampan.linux.mount import mount

from .snapshotter_contract import BASE, ONE, SnapshotterContract, put_layers, sha


class TestOverlay(SnapshotterContract):
    @pytest.fixture
    def snapshots(self, tmp_path):
        return Overlay(str(tmp_path / "root"))


class TestNative(SnapshotterContract):
    @pytest.fixture
    def snapshots(self, tmp_path):
        return Native(str(tmp_path / "root"))


@pytest.mark.needs("mount")
def test_overlayfs_is_chosen_where_it_works(tmp_path):
    chosen = room.choose(str(tmp_path))
    assert (chosen.name, chosen.why) == ("overlay", "overlayfs works here")
    assert not list(tmp_path.rglob("*probe*"))


@pytest.mark.needs("mount")
def test_on_top_of_overlayfs_copies_are_chosen(tmp_path, own_mounts):
    """overlayfs takes no directory of another overlayfs to write into."""
    for name in ("lower", "upper", "work", "top"):
        (tmp_path / name).mkdir()

    def body():
        options = ",".join(
            f"{key}={tmp_path}/{name}"
            for key, name in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work"))
        )
        mount("overlay", f"{tmp_path}/top", "overlay", data=options)
        chosen = room.choose(f"{tmp_path}/top")
        assert chosen.name == "native"
        assert f"{tmp_path}/top" in chosen.why
        assert "\n" not in chosen.why

    own_mounts(body)


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


def job(root, data, diff_id):
    store = FileStore(root)
    return worker.command(root, layer=add(store, data), chain_id=ONE, parent=None, diff_id=diff_id)


def run(command):
    import subprocess

    return worker.outcome(subprocess.run(command, capture_output=True, check=True).stdout)


def test_a_process_of_its_own_unpacks(tmp_path):
    assert run(job(str(tmp_path), BASE, sha(BASE)))["entries"] == 11
    assert Overlay(str(tmp_path)).has(ONE)


def test_its_errors_are_raised_here(tmp_path):
    with pytest.raises(errors.InvalidArgument, match="the image's config says"):
        run(job(str(tmp_path), BASE, "sha256:" + "0" * 64))
    with pytest.raises(errors.Unavailable, match="was killed"):
        worker.outcome(b"")
    assert os.listdir(tmp_path / "snapshots/overlay/l") == ["by-chain"]
