"""`/volumes`: options, mounting from the first user to the last, and Docker's words."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=2m,uid=1000,mode=0750"}
IN = {"HostConfig": {"Binds": ["shared:/v"], "NetworkMode": "none"}}


def make(engine: Engine, name: str, **options: str) -> dict[str, Any]:
    body = {"Name": name, "DriverOpts": options, "Labels": {"made": "here"}}
    status, answer = engine.request("POST", "/volumes/create", body)
    assert status == 201, answer
    found: dict[str, Any] = answer
    return found


def is_mounted(volume: dict[str, Any]) -> bool:
    return os.path.ismount(volume["Mountpoint"])


def end(engine: Engine, container: str) -> None:
    engine.request("POST", f"/containers/{container}/kill")
    engine.wait(container)


def delete(engine: Engine, *containers: str, volume: str = "") -> None:
    for container in containers:
        engine.request("DELETE", f"/containers/{container}?force=1&v=1")
    if volume:
        assert engine.request("DELETE", f"/volumes/{volume}")[0] == 204


@pytest.fixture
def shared(engine: Engine) -> Iterator[dict[str, Any]]:
    yield make(engine, "shared", **TMPFS)
    delete(engine, volume="shared")


def test_it_is_mounted_from_the_first_user_to_the_last(
    engine: Engine, shared: dict[str, Any]
) -> None:
    first = engine.create("sleep", "60", **IN)
    assert not is_mounted(shared)
    engine.request("POST", f"/containers/{first}/start")
    assert is_mounted(shared)
    second = engine.run("sleep", "60", **IN)
    end(engine, first)
    assert is_mounted(shared)
    end(engine, second)
    assert not is_mounted(shared)
    delete(engine, first, second)


def test_inspect_tells_what_it_is(engine: Engine, shared: dict[str, Any]) -> None:
    status, told = engine.request("GET", "/volumes/shared")
    assert status == 200
    assert (told["Driver"], told["Scope"], told["Options"]) == ("local", "local", TMPFS)
    assert told["Labels"] == {"made": "here"}
    assert told["Mountpoint"].endswith("/volumes/shared/_data")


def test_a_killed_engine_finds_its_mounts_again(own_engine: Engine) -> None:
    volumes = {name: make(own_engine, name, **TMPFS) for name in ("runs", "ends", "lost")}
    in_ = {name: {"HostConfig": {"Binds": [f"{name}:/v"]}} for name in volumes}
    runs, ends, lost = (own_engine.run("sleep", "60", **in_[name]) for name in volumes)
    pid = own_engine.inspect(ends)["State"]["Pid"]
    own_engine.stop(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    from sampan.linux import mount

    mount.umount(volumes["lost"]["Mountpoint"], mount.MNT.DETACH)
    own_engine.start()
    assert is_mounted(volumes["runs"])
    assert is_mounted(volumes["lost"])
    own_engine.wait(ends)
    assert not is_mounted(volumes["ends"])
    end(own_engine, runs)
    end(own_engine, lost)
    assert not any(map(is_mounted, volumes.values()))


def test_a_mount_that_fails_starts_nothing(engine: Engine) -> None:
    volume = make(engine, "broken", type="none", device="/no/such", o="bind")
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["broken:/v:nocopy"]}}
    _, made = engine.request("POST", "/containers/create", body)
    status, answer = engine.request("POST", f"/containers/{made['Id']}/start")
    assert status == 500
    assert "failed to mount local volume broken: mount /no/such of type none" in answer["message"]
    assert not is_mounted(volume)
    assert engine.inspect(made["Id"])["State"]["Running"] is False
    delete(engine, made["Id"], volume="broken")


def test_a_volume_in_use_stays(engine: Engine) -> None:
    make(engine, "used")
    container = engine.create("true", HostConfig={"Binds": ["used:/v"]})
    status, answer = engine.request("DELETE", "/volumes/used")
    assert status == 409
    assert answer["message"] == f"remove used: volume is in use - [{container}]"
    delete(engine, container, volume="used")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (
            {"Name": "xx", "DriverOpts": {"colour": "red"}},
            400,
            'xx: invalid option: "colour"',
        ),
        ({"Name": "xx", "DriverOpts": {"type": "tmpfs"}}, 400, 'missing required option: "device"'),
        ({"Name": "xx", "Driver": "floppy"}, 404, 'plugin "floppy" not found'),
        ({"Name": "a b"}, 400, "includes invalid characters for a local volume name"),
        ({"Name": "there", "DriverOpts": TMPFS}, 409, "it exists with other options (no options)"),
    ],
)
def test_what_cannot_be_made(
    engine: Engine, body: dict[str, Any], status: int, message: str
) -> None:
    make(engine, "there")
    got, answer = engine.request("POST", "/volumes/create", body)
    assert (got, message in answer["message"]) == (status, True), answer
    assert engine.request("GET", "/volumes/xx")[0] == 404
    delete(engine, volume="there")


def test_a_bind_is_never_emptied(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    make(engine, "bound", type="none", device=str(tmp_path), o="bind")
    container = engine.run("sh", "-c", "cat /v/kept && touch /v/new",
                           HostConfig={"Binds": ["bound:/v"]})  # fmt: skip
    assert engine.wait(container) == 0
    delete(engine, container, volume="bound")
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "new"}


@pytest.mark.needs("loop")
def test_a_quota_holds_and_is_shown(engine: Engine) -> None:
    make(engine, "small", size="4m")
    container = engine.run("sh", "-c", "dd if=/dev/zero of=/v/big bs=1M count=8",
                           HostConfig={"Binds": ["small:/v"]})  # fmt: skip
    assert engine.wait(container) == 1
    status = engine.request("GET", "/volumes/small")[1]["Status"]
    assert status["Quota"]["Size"] == 4 << 20
    delete(engine, container, volume="small")


def test_an_anonymous_one_says_so_and_goes_with_its_container(engine: Engine) -> None:
    container = engine.create("true", Volumes={"/anon": {}})
    (point,) = engine.inspect(container)["Mounts"]
    _, told = engine.request("GET", f"/volumes/{point['Name']}")
    assert told["Labels"] == {"com.docker.volume.anonymous": ""}
    delete(engine, container)
    assert engine.request("GET", f"/volumes/{point['Name']}")[0] == 404


def test_volumes_from_keeps_modes(engine: Engine, tmp_path: Path) -> None:
    first = engine.create("true", HostConfig={"Binds": [f"{tmp_path}:/b:ro", "kept:/v"]})
    second = engine.create("true", HostConfig={"VolumesFrom": [first]})
    points = {p["Destination"]: p for p in engine.inspect(second)["Mounts"]}
    assert (points["/b"]["RW"], points["/v"]["RW"]) == (False, True)
    third = engine.create("true", HostConfig={"VolumesFrom": [f"{first}:ro"]})
    assert not any(p["RW"] for p in engine.inspect(third)["Mounts"])
    delete(engine, first, second, third, volume="kept")


def test_a_read_only_volume_is_so_all_the_way_down(engine: Engine) -> None:
    from sampan.linux import mount

    below = f"{make(engine, 'deep')['Mountpoint']}/below"
    os.mkdir(below)
    mount.mount("tmpfs", below, "tmpfs")
    try:
        script = "! touch /v/x && ! touch /v/below/x && grep -q ' /v/below tmpfs ro' /proc/mounts"
        container = engine.run("sh", "-c", script, HostConfig={"Binds": ["deep:/v:ro"]})
        assert engine.wait(container) == 0
    finally:
        mount.umount(below)
    delete(engine, container, volume="deep")


def test_nocopy_leaves_it_empty_and_else_the_image_fills_it(engine: Engine) -> None:
    found = {}
    for name, flag in (("filled", ""), ("bare", ":nocopy")):
        container = engine.create("true", HostConfig={"Binds": [f"{name}:/data{flag}"]})
        found[name] = os.listdir(engine.request("GET", f"/volumes/{name}")[1]["Mountpoint"])
        delete(engine, container, volume=name)
    assert found == {"filled": ["from-image"], "bare": []}


@pytest.mark.needs("loop")
def test_the_image_fills_a_volume_that_has_to_be_mounted(engine: Engine) -> None:
    make(engine, "disk", size="4m")
    container = engine.run("cat", "/data/from-image", HostConfig={"Binds": ["disk:/data"]})
    assert engine.wait(container) == 0
    delete(engine, container, volume="disk")


def test_propagation_is_for_directories_of_the_host(engine: Engine) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": ["v1:/v:rshared"]}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, "mount propagation is for directories" in answer["message"]) == (400, True)


def test_a_shutdown_leaves_nothing_mounted() -> None:
    with Engine() as engine:
        volume = make(engine, "shared", **TMPFS)
        engine.run("sleep", "60", **IN)
        assert is_mounted(volume)
        engine.request("POST", "/sampan/shutdown")
        assert engine.process is not None
        engine.process.wait(20)
        engine.process = None
        assert not is_mounted(volume)
