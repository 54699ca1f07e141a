"""The drivers behind volumes: the contract, and what the local one mounts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.engine.volume_drivers import Wanted
from sampan.engine.volume_drivers.local import Local, MountFailed
from sampan.engine.volume_drivers.memory import Memory
from sampan.kit import errors
from tests.engine.volume_driver_contract import VolumeDriverContract


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    driver = Local(str(tmp_path))
    yield driver
    for name in driver.mounted():
        subprocess.run(["umount", driver.mountpoint(name)], check=True)


class TestMemory(VolumeDriverContract):
    mounted_options = {"mounted": "yes"}

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Memory:
        return Memory(str(tmp_path))


@pytest.mark.needs("mount")
class TestLocalTmpfs(VolumeDriverContract):
    mounted_options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,mode=0750"}

    @pytest.fixture
    def driver(self, local: Local) -> Local:
        return local


@pytest.mark.needs("mount", "loop")
class TestLocalQuota(VolumeDriverContract):
    mounted_options = {"size": "4m"}

    @pytest.fixture
    def driver(self, local: Local) -> Local:
        return local


@pytest.mark.needs("mount")
def test_a_tmpfs_has_its_options(local: Local) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,mode=0750,noexec"}
    local.create(volume := Wanted(name="t", options=options))
    local.mount(volume)
    place = local.mountpoint("t")
    status, space = os.stat(place), os.statvfs(place)
    assert (status.st_uid, status.st_mode & 0o777) == (1000, 0o750)
    assert space.f_blocks * space.f_frsize == 1 << 20
    assert space.f_flag & os.ST_NOEXEC


@pytest.mark.needs("mount")
def test_a_bind_shows_the_directory_and_leaves_it_when_removed(
    local: Local, tmp_path: Path
) -> None:
    (there := tmp_path / "there").mkdir()
    (there / "kept").write_text("kept")
    options = {"type": "none", "device": str(there), "o": "bind,ro"}
    local.create(volume := Wanted(name="b", options=options))
    local.mount(volume)
    assert os.listdir(local.mountpoint("b")) == ["kept"]
    with pytest.raises(OSError, match="Read-only"):
        Path(local.mountpoint("b"), "new").touch()
    local.remove(volume)
    assert (there / "kept").read_text() == "kept"


@pytest.mark.needs("mount", "loop")
def test_a_size_is_a_bound(local: Local) -> None:
    local.create(volume := Wanted(name="q", options={"size": "4m"}))
    local.mount(volume)
    place = local.mountpoint("q")
    assert os.listdir(place) == []
    with pytest.raises(OSError, match="No space left"):
        Path(place, "big").write_bytes(b"x" * (5 << 20))
    os.unlink(f"{place}/big")
    Path(place, "small").write_text("stays")
    quota = local.status(volume)["Quota"]
    assert (quota["Size"], quota["By"], quota["Used"] > 0) == (4 << 20, "loop image", True)
    local.unmount(volume)
    assert os.listdir(place) == []
    local.mount(volume)
    assert Path(place, "small").read_text() == "stays"
    local.remove(volume)
    loops = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
    assert str(place).removesuffix("_data") not in loops


@pytest.mark.needs("mount")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"type": "none", "device": "/no/such", "o": "bind"},
            'mount /no/such of type none with "bind": no such file or directory',
        ),
        ({"type": "nosuchfs", "device": "x"}, "mount x of type nosuchfs: no such device"),
        (
            {"type": "nfs", "device": ":/x", "o": "addr=host.invalid"},
            'mount :/x of type nfs with "addr=host.invalid": cannot resolve host.invalid',
        ),
    ],
)
def test_a_mount_that_fails_names_device_and_reason(
    local: Local, options: dict[str, str], reason: str
) -> None:
    local.create(volume := Wanted(name="bad", options=options))
    with pytest.raises(MountFailed) as caught:
        local.mount(volume)
    assert f"failed to mount local volume bad: {reason}" in str(caught.value)
    assert local.mounted() == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"o": "bind"}, 'missing required option: "device"'),
        ({"size": "lots"}, "invalid size: 'lots'"),
        ({"size": "1k"}, "the smallest is 1m"),
        ({"size": "1m", "type": "tmpfs", "device": "tmpfs"}, 'option "size" bounds a volume'),
    ],
)
def test_options_that_cannot_be(local: Local, options: dict[str, str], message: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=message):
        local.create(Wanted(name="bad", options=options))
