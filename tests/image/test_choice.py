import io
import os

import pytest

from sampan.image import choice
from sampan.kit import errors
from sampan.linux.mount import mount

from .snapshotter_contract import BASE, ONE, inside, sha

pytestmark = pytest.mark.needs("mount")


def put(snapshots):
    snapshots.unpack(ONE, None, io.BytesIO(BASE), sha(BASE))


@pytest.mark.needs("erofs")
def test_erofs_is_chosen_where_it_works(tmp_path):
    chosen = choice.choose(str(tmp_path))
    assert (chosen.name, chosen.backing) == ("erofs", "file")
    assert "layers are read as files" in chosen.why
    assert not [name for name in inside(tmp_path) if "probe" in name]


@pytest.mark.needs("erofs", "erofs-loop")
def test_on_a_tmpfs_layers_are_read_through_loop_devices(tmp_path, own_mounts):
    def body():
        mount("tmpfs", str(tmp_path), "tmpfs")
        chosen = choice.choose(str(tmp_path))
        assert (chosen.name, chosen.backing) == ("erofs", "loop")
        put(chosen)
        assert os.listdir(f"{chosen.stack(ONE)[0]}/etc")

    own_mounts(body)


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
        chosen = choice.choose(f"{tmp_path}/top")
        assert chosen.name == "native"
        assert f"overlay does not work at {tmp_path}/top" in chosen.why
        assert "\n" not in chosen.why
        with pytest.raises(errors.Unsupported, match="erofs was asked for, but"):
            choice.choose(f"{tmp_path}/top", "erofs")

    own_mounts(body)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [("overlay", "overlay"), ("overlay2", "overlay"), ("native", "native"), ("vfs", "native")],
)
def test_another_can_be_asked_for(tmp_path, wanted, name):
    assert choice.choose(str(tmp_path), wanted).name == name


def test_a_name_that_is_none(tmp_path):
    with pytest.raises(errors.InvalidArgument, match="storage-driver: 'btrfs' is none of erofs"):
        choice.choose(str(tmp_path), "btrfs")


def test_a_root_with_unpacked_layers_stays_with_them(tmp_path):
    put(choice.choose(str(tmp_path), "overlay"))
    chosen = choice.choose(str(tmp_path))
    assert chosen.name == "overlay"
    assert chosen.why == "overlayfs works here; the layers here are unpacked already"
    assert choice.choose(str(tmp_path), "native").has(ONE)
    with pytest.raises(errors.Conflict, match="has layers of the overlay snapshotter"):
        choice.choose(str(tmp_path), "erofs")


@pytest.mark.needs("erofs")
def test_a_root_with_erofs_layers_stays_with_them(tmp_path, monkeypatch):
    put(choice.choose(str(tmp_path)))
    assert choice.choose(str(tmp_path)).has(ONE)
    with pytest.raises(errors.Conflict, match="has layers of the erofs snapshotter"):
        choice.choose(str(tmp_path), "overlay")

    def refuse(*_):
        raise OSError(19, "No such device")

    monkeypatch.setattr("sampan.image.erofs.mounting.mount", refuse)
    with pytest.raises(errors.Unsupported, match="erofs made the layers here, but"):
        choice.choose(str(tmp_path))
