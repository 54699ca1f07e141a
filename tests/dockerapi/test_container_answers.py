"""Requests about containers that Docker reads or answers in a way of its own."""

from __future__ import annotations

import io
import tarfile
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


def test_several_networks_at_create_came_with_1_44(engine: Engine) -> None:
    body = {
        "Image": "busybox",
        "NetworkingConfig": {"EndpointsConfig": {"one": {}, "two": {}}},
    }
    status, answer = engine.request("POST", "/v1.43/containers/create", body)
    assert status == 400
    assert "cannot be created with multiple network endpoints" in answer["message"]


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
