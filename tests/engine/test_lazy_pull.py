"""Containers over layers that are not here yet: a real engine, registry, page server."""

from __future__ import annotations

import pytest

from tests.engine_process import Engine
from tests.lazy_images import Door, Layer, noise, tar_of

BIG = noise(24 << 20, "big")
SMALL = {f"small/{n}": noise(3000, str(n)) for n in range(50)}

pytestmark = pytest.mark.needs("mount", "erofs", "lazy")


@pytest.fixture(scope="module")
def layer():
    return Layer(tar_of({"big": BIG, **SMALL, "last": b"the end"}, busybox=True))


@pytest.fixture
def door(tmp_path):
    with Door(tmp_path) as door:
        yield door


@pytest.fixture
def engine():
    with Engine() as engine:
        yield engine


def pull(engine, image):
    name, _, tag = image.rpartition(":")
    status, told = engine.request("POST", f"/images/create?fromImage={name}&tag={tag}&lazy=1")
    assert status == 200 and b"errorDetail" not in told, told
    return told


def run(engine, image, *command):
    """Exit code and output."""
    container = engine.run(*command, Image=image)
    code = engine.wait(container)
    return code, engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1]


def test_a_container_runs_before_its_image_is_here(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    assert run(engine, image, "cat", "/last") == (0, frame(b"the end"))
    assert door.sent < len(layer.blob) / 10
    door.let_go()


def frame(data):
    """One write to standard output, as Docker's streams have it."""
    return b"\x01\0\0\0" + len(data).to_bytes(4, "big") + data
