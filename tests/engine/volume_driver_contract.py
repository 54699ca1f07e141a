"""What every VolumeDriver keeps; an implementation's test class inherits it."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest

from sampan.engine.volume_drivers import VolumeDriver, Wanted
from sampan.kit import errors


class VolumeDriverContract:
    mounted_options: ClassVar[dict[str, str]]  # of a volume that has to be mounted

    @pytest.fixture
    def driver(self) -> VolumeDriver:
        raise NotImplementedError

    def test_a_plain_volume_is_there_until_it_is_removed(self, driver: VolumeDriver) -> None:
        volume = Wanted(name="plain", options={})
        driver.create(volume)
        driver.create(volume)
        place = driver.mountpoint("plain")
        assert driver.lasting(volume)
        assert os.listdir(place) == []
        driver.mount(volume)
        assert driver.mounted() == set()
        driver.remove(volume)
        driver.remove(volume)
        assert not os.path.exists(place)

    def test_mounting_may_be_repeated(self, driver: VolumeDriver) -> None:
        volume = Wanted(name="mounted", options=self.mounted_options)
        driver.create(volume)
        assert not driver.lasting(volume)
        assert driver.mounted() == set()
        for _ in range(2):
            driver.mount(volume)
            assert driver.mounted() == {"mounted"}
        for _ in range(2):
            driver.unmount(volume)
            assert driver.mounted() == set()
        driver.mount(volume)
        driver.remove(volume)
        assert driver.mounted() == set()
        assert not os.path.exists(driver.mountpoint("mounted"))

    def test_a_bad_option_leaves_nothing(self, driver: VolumeDriver) -> None:
        with pytest.raises(errors.InvalidArgument, match='invalid option: "colour"'):
            driver.create(Wanted(name="bad", options={"colour": "red"}))
        assert not os.path.exists(driver.mountpoint("bad"))
