"""`--mount` of every type, as a container and as `inspect` see it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def output(engine: Engine, script: str, *mounts: dict[str, Any]) -> str:
    """What a container with these mounts prints."""
    container = engine.run("sh", "-c", script, HostConfig={"Mounts": list(mounts)}, Tty=True)
    engine.wait(container)
    status, body = engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")
    assert status == 200
    engine.request("DELETE", f"/containers/{container}?force=1")
    text: str = body.decode().replace("\r", "")
    return text


def test_a_tmpfs_is_mounted_and_shown(engine: Engine) -> None:
    mount = {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 1 << 20}}
    container = engine.create("true", HostConfig={"Mounts": [mount]})
    (point,) = engine.inspect(container)["Mounts"]
    assert (point["Type"], point["Destination"], point["RW"]) == ("tmpfs", "/scratch", True)
    assert not [key for key in point if key.startswith("_")]
    engine.request("DELETE", f"/containers/{container}")
    assert " 1024 " in output(engine, "df -k /scratch", mount)


def test_a_read_only_bind_is_read_only_all_the_way_down(engine: Engine, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
    try:
        script = "touch /in/x; touch /in/below/x; echo done"
        mount = {"Type": "bind", "Source": str(tmp_path), "Target": "/in", "ReadOnly": True}
        assert output(engine, script, mount).count("Read-only file system") == 2
        shallow = {**mount, "BindOptions": {"ReadOnlyNonRecursive": True}}
        assert output(engine, script, shallow).count("Read-only file system") == 1
        alone = {**mount, "BindOptions": {"NonRecursive": True}}
        assert "x" not in output(engine, "ls /in/below", alone)
    finally:
        subprocess.run(["umount", str(below)], check=True)


def test_files_are_put_beside_a_bound_file(engine: Engine, tmp_path: Path) -> None:
    """Before the start: the place of a file's mount is a file, and stays one."""
    (tmp_path / "one").write_text("bound")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("run/two")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"put"))
    binds = {"Binds": [f"{tmp_path}/one:/new/place/one"]}
    ident = engine.create("cat", "/new/place/one", "/run/two", HostConfig=binds, Tty=True)
    path = f"/containers/{ident}/archive?path=/"
    assert engine.request("PUT", path, packed.getvalue())[0] == 200
    assert engine.request("POST", f"/containers/{ident}/start")[0] == 204
    assert engine.wait(ident) == 0
    assert engine.request("GET", f"/containers/{ident}/logs?stdout=1")[1] == b"boundput"
    engine.request("DELETE", f"/containers/{ident}")


def test_a_part_of_a_volume(engine: Engine) -> None:
    volume = {"Type": "volume", "Source": "parts", "Target": "/v"}
    output(
        engine,
        "mkdir -p /v/a/b; echo deep > /v/a/b/f; ln -s /etc /v/escape; ln -s a/b /v/current",
        volume,
    )
    part = {**volume, "VolumeOptions": {"Subpath": "a/b"}}
    assert output(engine, "ls /v; cat /v/f", part) == "f\ndeep\n"
    linked = {**volume, "VolumeOptions": {"Subpath": "current"}}
    assert output(engine, "cat /v/f", linked) == "deep\n"
    for subpath, message in (
        ("nosuch", "cannot mount subpath nosuch of"),
        ("escape", "cannot mount subpath escape of"),
    ):
        bad = {**volume, "VolumeOptions": {"Subpath": subpath}}
        container = engine.create("true", HostConfig={"Mounts": [bad]})
        status, answer = engine.request("POST", f"/containers/{container}/start")
        assert (status, message in answer["message"]) == (500, True), answer
        engine.request("DELETE", f"/containers/{container}")
    engine.request("DELETE", "/volumes/parts")


def test_an_image_as_a_mount(engine: Engine) -> None:
    mount = {"Type": "image", "Source": "busybox", "Target": "/image"}
    script = "cat /image/data/from-image; touch /image/x; grep ' /image ' /proc/mounts"
    text = output(engine, script, mount)
    assert text.startswith("hello\n")
    assert "Read-only file system" in text


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"Type": "volume", "Target": "/v", "VolumeOptions": {"Subpath": "../x"}}, "relative path"),
        ({"Type": "image", "Target": "/v"}, "field Source must not be empty"),
        ({"Type": "image", "Source": "nosuch", "Target": "/v"}, "No such image: nosuch"),
        (
            {"Type": "bind", "Source": "/tmp", "Target": "/v", "VolumeOptions": {}},
            "field VolumeOptions must not be specified",
        ),
        ({"Type": "floppy", "Target": "/v"}, 'type "floppy": mount type unknown'),
    ],
)
def test_a_mount_that_cannot_be_is_refused(engine: Engine, mount, message: str) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status in (400, 404)
    assert message in answer["message"]
