"""`--storage-opt size`: what a container may write to its own layer."""

import os
import signal

import pytest

from tests.dockerapi.test_containers import output, remove
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount", "loop")
FILL = "dd if=/dev/zero of=/big bs=1M count=60 2>&1; echo kept >/small; ls /"


def sized(size: str) -> dict[str, object]:
    return {"StorageOpt": {"size": size}, "NetworkMode": "none"}


def mounted(container: str) -> bool:
    with open("/proc/self/mountinfo") as file:
        return container in file.read()


def test_a_layer_is_full_when_its_size_is_written(own_engine: Engine) -> None:
    engine = own_engine
    script = f"{FILL}; rm /big; echo kept >/small"
    container = engine.run("sh", "-c", script, HostConfig=sized("40m"))
    engine.wait(container)
    said = output(engine, container).decode()
    assert "No space left on device" in said and "bin" in said
    changes = engine.request("GET", f"/containers/{container}/changes")[1]
    assert {"Path": "/small", "Kind": 1} in changes
    # it is there for the next engine, and after a shutdown took the mount away
    engine.stop(signal.SIGKILL)
    engine.start()
    assert engine.request("POST", "/sampan/shutdown")[0] < 300
    assert engine.process is not None
    engine.process.wait(20)
    assert not mounted(container)
    engine.start()
    status, tar = engine.request("GET", f"/containers/{container}/archive?path=/small")
    assert status == 200 and b"kept\n" in tar
    assert engine.request("POST", f"/containers/{container}/start")[0] == 204
    engine.wait(container)
    remove(engine, container)
    assert not mounted(container)
    assert not os.path.exists(engine.paths.bundle(container))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": "lots"}, "invalid size"),
        ({"size": "10k"}, "the smallest is 1m"),
        ({"speed": "1"}, "--storage-opt: unknown option speed"),
    ],
)
def test_what_is_no_size_is_refused(engine: Engine, options: dict[str, str], sentence: str) -> None:
    body = {"Image": "busybox", "HostConfig": {"StorageOpt": options}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status == 400 and sentence in answer["message"]


def test_a_host_without_overlayfs_says_so() -> None:
    with Engine("--storage-driver", "native") as engine:
        body = {"Image": "busybox", "HostConfig": sized("10m")}
        status, answer = engine.request("POST", "/containers/create", body)
        assert status == 400 and "snapshots are plain copies on this host" in answer["message"]
