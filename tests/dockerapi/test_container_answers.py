"""Requests about containers that Docker reads or answers in a way of its own."""

from __future__ import annotations

import io
import json
import tarfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


@pytest.mark.parametrize(
    ("path", "first", "then"),
    [
        ("/", "/", "/data/from-image"),
        ("/.", "./", "./data/from-image"),
        ("/data/", "data/", "data/from-image"),
        ("/data/.", "./", "./from-image"),
        ("/link/", "link/", "link/from-image"),
        ("/link/.", "./", "./from-image"),
    ],
)
def test_an_archive_begins_with_what_was_asked_for(
    engine: Engine, path: str, first: str, then: str
) -> None:
    """Clients replace that name when they copy to a new one."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "data"
        tar.addfile(link)
    container = engine.create("true")
    where = f"/containers/{container}/archive?path="
    assert engine.request("PUT", f"{where}/", packed.getvalue())[0] == 200
    status, body = engine.request("GET", f"{where}{path}")
    assert status == 200
    engine.request("DELETE", f"/containers/{container}")
    names = [body[:100].rstrip(b"\0").decode()]  # tarfile takes the slash at the end away
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names += tar.getnames()
    assert names[0] == first
    assert then in names


@pytest.mark.parametrize("size", ["w=10", "h=&w=10", "h=x&w=10", "h=70000&w=10", "h=-1&w=10"])
def test_a_size_that_is_none_is_named(engine: Engine, size: str) -> None:
    container = engine.create("true")
    status, answer = engine.request("POST", f"/containers/{container}/resize?{size}")
    assert (status, "invalid resize height" in answer["message"]) == (400, True)
    engine.request("DELETE", f"/containers/{container}")


def test_annotations_are_listed(engine: Engine) -> None:
    container = engine.create("true", HostConfig={"Annotations": {"foo": "bar"}})
    for version, wanted in (("1.45", None), ("1.46", {"foo": "bar"})):
        listed = engine.request("GET", f"/v{version}/containers/json?all=1")[1]
        (found,) = [summary for summary in listed if summary["Id"] == container]
        assert found["HostConfig"].get("Annotations") == wanted
    engine.request("DELETE", f"/containers/{container}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"MacAddress": "92:d0:c6:0a:29:33", "HostConfig": {"NetworkMode": "host"}}, "mac-address"),
        ({"HostConfig": {"NetworkMode": "host", "Links": ["x:y"]}}, "can't be used with links"),
        ({"HostConfig": {"NetworkMode": "container"}}, "container:<name|id>"),
        ({"HostConfig": {"VolumesFrom": ["x:bar"]}}, "invalid mode: bar"),
        ({"HostConfig": {"Binds": ["/a:/b:nocopy"]}}, "invalid mode: nocopy"),
        ({"HostConfig": {"Binds": ["/tmp:/r"], "Tmpfs": {"/r": ""}}}, "Duplicate mount point: /r"),
        ({"HostConfig": {"MemoryReservation": 1024}}, "Minimum memory reservation allowed is 6MB"),
    ],
)
def test_what_does_not_go_together(engine: Engine, body: dict[str, Any], message: str) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], **body}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, message in answer["message"]) == (400, True), answer


def test_a_directory_without_devices_is_no_device(engine: Engine) -> None:
    devices = [{"PathOnHost": "/etc", "PathInContainer": "/etc", "CgroupPermissions": "rwm"}]
    container = engine.create("true", HostConfig={"Devices": devices})
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status >= 400
    assert "not a device node" in answer["message"]
    engine.request("DELETE", f"/containers/{container}")


def test_a_kill_ends_the_restarts(engine: Engine) -> None:
    policy = {"RestartPolicy": {"Name": "always"}}
    container = engine.run("false", HostConfig=policy)
    while True:  # until the pauses are longer than a second
        found = engine.inspect(container)
        if found["RestartCount"] >= 5 and found["State"]["Status"] == "restarting":
            break
    assert engine.request("POST", f"/containers/{container}/kill")[0] == 204
    state = engine.inspect(container)["State"]
    assert (state["Status"], state["Running"]) == ("exited", False)
    engine.request("DELETE", f"/containers/{container}")


def test_the_last_of_volumes_from_counts(engine: Engine) -> None:
    names = []
    for name in ("from-1", "from-2"):
        engine.create("true", name=name, Volumes={"/data": {}})
        names.append(engine.inspect(name)["Mounts"][0]["Name"])
    taker = engine.create("true", HostConfig={"VolumesFrom": ["from-1", "from-2"]})
    assert [mount["Name"] for mount in engine.inspect(taker)["Mounts"]] == names[1:]
    for container in (taker, "from-1", "from-2"):
        engine.request("DELETE", f"/containers/{container}?v=1")


def test_several_networks_at_create_came_with_1_44(engine: Engine) -> None:
    body = {
        "Image": "busybox",
        "NetworkingConfig": {"EndpointsConfig": {"one": {}, "two": {}}},
    }
    status, answer = engine.request("POST", "/v1.43/containers/create", body)
    assert status == 400
    assert "cannot be created with multiple network endpoints" in answer["message"]


def test_all_ports_at_once(engine: Engine) -> None:
    ports = {f"{n}/tcp": [{"HostIp": "", "HostPort": str(n)}] for n in range(1, 65536)}
    container = engine.create("true", HostConfig={"PortBindings": ports})
    assert len(engine.inspect(container)["HostConfig"]["PortBindings"]) == 65535
    engine.request("DELETE", f"/containers/{container}")


def test_a_published_port_that_is_none(engine: Engine) -> None:
    ports = {"8080/tcp": [{"HostPort": "aa80"}]}
    body = {"Image": "busybox", "HostConfig": {"PortBindings": ports}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, answer["message"]) == (400, 'invalid port specification: "aa80"')


def test_a_form_is_no_json(engine: Engine) -> None:
    """Other people's pages can make a browser send these, so nothing is done for them."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        with engine.connect() as sock:
            body = b'{"Image": "busybox"}'
            sock.sendall(
                b"POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (kind.encode(), len(body), body)
            )
            answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert f"unsupported Content-Type header ({kind})".encode() in answer


def limit(engine: Engine, container: str) -> str:
    with open(f"/proc/{engine.inspect(container)['State']['Pid']}/cgroup") as file:
        names = [line.strip().split(":", 2) for line in file]
    path = next(p for _, kind, p in names if kind == "pids" or (kind == "" and len(names) == 1))
    top = "/sys/fs/cgroup/pids" if len(names) > 1 else "/sys/fs/cgroup"
    with open(f"{top}{path}/pids.max") as file:
        return file.read().strip()


def test_an_update_takes_the_limit_of_processes_away(engine: Engine) -> None:
    container = engine.run("sleep", "60", HostConfig={"PidsLimit": 16})
    for wanted, found in ((32, "32"), (0, "max"), (24, "24"), (-1, "max")):
        answer = engine.request("POST", f"/containers/{container}/update", {"PidsLimit": wanted})
        assert answer[0] == 200, answer
        assert limit(engine, container) == found
        assert engine.inspect(container)["HostConfig"]["PidsLimit"] == max(0, wanted)
    engine.request("POST", f"/containers/{container}/update", {"PidsLimit": 8})
    engine.request("POST", f"/containers/{container}/update", {"CpuShares": 512})
    assert limit(engine, container) == "8"
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_what_removes_itself_is_not_restarted(engine: Engine) -> None:
    container = engine.create("true", HostConfig={"AutoRemove": True})
    change = {"RestartPolicy": {"Name": "always"}}
    status, answer = engine.request("POST", f"/containers/{container}/update", change)
    assert (status, "AutoRemove is enabled" in answer["message"]) == (409, True)
    engine.request("DELETE", f"/containers/{container}")


def test_a_working_directory_is_shown_clean(engine: Engine) -> None:
    container = engine.create("true", WorkingDir="/tmp//x/../")
    assert engine.inspect(container)["Config"]["WorkingDir"] == "/tmp"
    engine.request("DELETE", f"/containers/{container}")


def test_an_engine_has_an_identity(engine: Engine) -> None:
    found: dict[str, Any] = engine.request("GET", "/v1.50/info")[1]
    assert found["ID"] == engine.request("GET", "/v1.49/info")[1]["ID"] != ""
    assert "BridgeNfIptables" not in found
    assert found["FirewallBackend"] == {"Driver": "nftables"}


def put(engine: Engine, container: str, path: str) -> tuple[int, Any]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("put"))
    return engine.request("PUT", f"/containers/{container}/archive?path={path}", packed.getvalue())


@pytest.mark.parametrize("running", [False, True])
def test_nothing_is_copied_into_what_is_read_only(
    engine: Engine, tmp_path: Path, running: bool
) -> None:
    (tmp_path / "link").symlink_to("/data")
    binds = [f"{tmp_path}:/fixed:ro", f"{tmp_path}:/free"]
    container = engine.create("sleep", "60", HostConfig={"ReadonlyRootfs": True, "Binds": binds})
    if running:
        assert engine.request("POST", f"/containers/{container}/start")[0] == 204
    assert put(engine, container, "/free")[0] == 200
    for path, what in (
        ("/data", "container rootfs is marked read-only"),
        ("/free/link", "container rootfs is marked read-only"),
        ("/fixed", "mounted volume is marked read-only"),
    ):
        status, answer = put(engine, container, path)
        assert (status, answer["message"]) == (400, what), path
    engine.request("DELETE", f"/containers/{container}?force=1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "put"]


def names(engine: Engine, path: str) -> list[str]:
    status, body = engine.request("GET", path)
    assert status == 200, body
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return tar.getnames()


def test_a_stopped_container_has_its_files_and_its_directory(engine: Engine) -> None:
    container = engine.create("true", WorkingDir="/home/its/place", Hostname="called")
    where = f"/containers/{container}/archive?path="
    assert names(engine, f"{where}/home/its/place") == ["place"]
    engine.request("POST", f"/containers/{container}/start")
    engine.wait(container)
    body = engine.request("GET", f"{where}/etc/hostname")[1]
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        member = tar.extractfile("hostname")
        assert member is not None and member.read() == b"called\n"
    exported = names(engine, f"/containers/{container}/export")
    assert "data/from-image" in exported
    assert not [name for name in exported if name == "." or name.startswith("./")]
    engine.request("DELETE", f"/containers/{container}")


def test_a_command_that_is_not_there_is_no_missing_exec(engine: Engine) -> None:
    container = engine.run("sleep", "60")
    made = engine.request("POST", f"/containers/{container}/exec", {"Cmd": ["nosuch"]})[1]["Id"]
    status, answer = engine.request("POST", f"/exec/{made}/start", {"Detach": True})
    assert (status, "executable file not found" in answer["message"]) == (400, True)
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_events_of_a_container_are_its_own(engine: Engine) -> None:
    begun = time.time()
    container = engine.create("true", HostConfig={"NetworkMode": "bridge"})
    engine.request("POST", f"/containers/{container}/start")
    engine.wait(container)
    engine.request("DELETE", f"/containers/{container}")
    filters = urllib.parse.quote(json.dumps({"container": [container]}))
    asked = f"/events?since={begun:f}&until={time.time():f}&filters={filters}"
    lines: bytes = engine.request("GET", asked)[1]
    assert {json.loads(line)["Type"] for line in lines.splitlines()} == {"container"}
    status, answer = engine.request("GET", "/events?since=20&until=10")
    assert (status, "cannot be after" in answer["message"]) == (400, True)
