import errno

import pytest

from sampan.linux import overlay
from sampan.linux.mount import MS


def stack(top, count):
    """The options of an overlay of layers that each have a file of their own, and all `who`."""
    layers = []
    for number in range(count):
        layer = top / ("layer-" + "x" * 60) / str(number)
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        (layer / "who").write_text(str(number))
        layers.append(str(layer))
    for name in ("upper", "work", "merged"):
        (top / name).mkdir()
    return [f"lowerdir={':'.join(layers)}", f"upperdir={top}/upper", f"workdir={top}/work"]


@pytest.mark.needs("mount")
def test_more_layers_than_one_page_has_room_for(own_mounts, tmp_path):
    options = stack(tmp_path, 120)
    assert len(",".join(options)) > 8000
    merged = tmp_path / "merged"

    def body():
        overlay.mount(str(merged), options)
        assert len(list(merged.glob("file*"))) == 120
        assert (merged / "who").read_text() == "0"
        (merged / "new").touch()

    own_mounts(body)
    assert (tmp_path / "upper/new").exists()


@pytest.mark.needs("mount")
def test_flags_are_the_mount_s(own_mounts, tmp_path):
    options = stack(tmp_path, 2)[:1]

    def body():
        overlay.mount(str(tmp_path / "merged"), options, MS.RDONLY)
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "merged/new").touch()

    own_mounts(body)


def test_a_missing_layer_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        overlay.mount(str(tmp_path), [f"lowerdir={tmp_path}:/not/there"])
    assert caught.value.filename == "/not/there"


def test_layers_are_never_cut_off(tmp_path):
    with pytest.raises(OSError, match="too many") as caught:
        overlay.mount(str(tmp_path), [f"lowerdir={':'.join([str(tmp_path)] * 400)}"])
    assert caught.value.errno == errno.E2BIG
