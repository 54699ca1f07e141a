"""What a container shares with the host or with another: its modes, its mounts, its /dev."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.spec import docker_stream
from tests.engine_process import Engine, read_to_end

pytestmark = pytest.mark.needs("mount")


@contextlib.contextmanager
def shared_directory(path: Path) -> Iterator[Path]:
    """A mount of its own that shares with its peers, whatever the host's are."""
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        for kind in ("--make-private", "--make-shared"):
            subprocess.run(["mount", kind, path], check=True)
        yield path
    finally:
        subprocess.run(["umount", "-R", path], check=True)


def said(engine: Engine, script: str, **host: Any) -> str:
    container = engine.run("sh", "-c", script, HostConfig=host)
    try:
        engine.wait(container)
        body: bytes = engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1]
    finally:
        engine.request("DELETE", f"/containers/{container}?force=1")
    frames = docker_stream.FrameDecoder().feed(body)
    return b"".join(frame.payload for frame in frames).decode()


def said_in(engine: Engine, container: str, script: str) -> str:
    """The same of an exec."""
    made = {"Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True}
    exec_id = engine.request("POST", f"/containers/{container}/exec", made)[1]["Id"]
    sock, _answer, rest = engine.hijack(f"/exec/{exec_id}/start", {"Detach": False})
    with sock:
        frames = docker_stream.FrameDecoder().feed(rest + read_to_end(sock))
    return b"".join(frame.payload for frame in frames).decode()


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"IpcMode": "invalid"}, "invalid IPC mode: invalid"),
        ({"PidMode": "private"}, "invalid PID mode: private"),
        ({"PidMode": "container:"}, "invalid PID mode: container:"),
        ({"UTSMode": "private"}, "invalid UTS mode: private"),
        ({"CgroupnsMode": "shareable"}, "invalid cgroup namespace mode: shareable"),
        ({"CpuShares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
        ({"Annotations": {"": "a"}}, "invalid Annotations: the empty string is not permitted"),
    ],
)
def test_a_mode_that_nobody_knows_is_refused(
    engine: Engine, host: dict[str, Any], message: str
) -> None:
    body = {"Image": "busybox", "HostConfig": host}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, message in answer["message"]) == (400, True), answer


def test_a_private_ipc_namespace_is_nobody_elses(engine: Engine) -> None:
    for mode, status in (("private", 500), ("shareable", 204)):
        donor = engine.run("sleep", "60", HostConfig={"IpcMode": mode})
        guest = engine.create("true", HostConfig={"IpcMode": f"container:{donor}"})
        found, answer = engine.request("POST", f"/containers/{guest}/start")
        assert found == status, answer
        assert status == 204 or "non-shareable IPC" in answer["message"]
        for container in (donor, guest):
            engine.request("DELETE", f"/containers/{container}?force=1")


def remove(engine: Engine, *containers: str) -> None:
    for container in containers:
        engine.request("DELETE", f"/containers/{container}?force=1")


def test_dev_shm_comes_with_the_ipc_namespace(own_engine: Engine) -> None:
    engine = own_engine
    host = {"IpcMode": "shareable", "ShmSize": 4 << 20}
    donor = engine.run("sleep", "60", HostConfig=host)
    joining = {"IpcMode": f"container:{donor}", "ShmSize": 8 << 20}
    said_in(engine, donor, "echo from the donor > /dev/shm/donor")
    guest = engine.run("sleep", "60", HostConfig=joining)
    script = (
        "cat /dev/shm/donor && echo from the guest > /dev/shm/guest; df -k /dev/shm | grep -c 4096"
    )
    assert said(engine, script, IpcMode=f"container:{donor}") == "from the donor\n1\n"
    assert said_in(engine, donor, "cat /dev/shm/guest") == "from the guest\n"
    engine.stop(signal.SIGKILL)
    engine.start()
    body = {"CheckpointID": "of-both"}
    answer = engine.request("POST", f"/containers/{guest}/checkpoints", body)[1]
    assert "has the IPC namespace and /dev/shm of another one" in answer["message"]
    said_in(engine, donor, "echo later > /dev/shm/later")
    assert said(engine, "cat /dev/shm/later", IpcMode=f"container:{guest}") == "later\n"
    for again in (f"/containers/{donor}/restart?t=0", f"/containers/{guest}/restart?t=0"):
        assert engine.request("POST", again)[0] == 204
    said_in(engine, guest, "test ! -e /dev/shm/donor && echo again > /dev/shm/again")
    assert said_in(engine, donor, "cat /dev/shm/again") == "again\n"
    gone = {"kill": (500, "non running container"), "remove": (404, "No such container")}
    for verb, (status, message) in gone.items():
        engine.request("POST", f"/containers/{donor}/kill")
        engine.wait(donor)
        if verb == "remove":
            remove(engine, donor)
        found, answer = engine.request("POST", f"/containers/{guest}/restart?t=0")
        assert (found, message in answer["message"]) == (status, True), answer
    remove(engine, guest)


def test_dev_shm_is_the_hosts_with_its_ipc_namespace(engine: Engine) -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", buffering=0) as file:
        file.write(b"of the host\n")
        donor = engine.run("sleep", "60", HostConfig={"IpcMode": "host"})
        for mode in ("host", f"container:{donor}"):
            assert said(engine, f"cat {file.name}", IpcMode=mode) == "of the host\n"
        remove(engine, donor)


def test_mounts_made_in_a_shared_volume_appear_on_the_host(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    with shared_directory(tmp_path):
        script = "mount -t tmpfs none /v/inside && touch /v/inside/from-the-container"
        binds = [f"{tmp_path}:/v:rshared"]
        assert said(engine, script, Privileged=True, Binds=binds) == ""
        assert (tmp_path / "inside/from-the-container").exists()


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_the_hosts_dev_comes_whole(engine: Engine, mode: str) -> None:
    script = "awk '$5 ~ \"^/dev/(shm|pts|mqueue)$\" {print $1, $5}' /proc/self/mountinfo | wc -l"
    with open("/proc/self/mountinfo") as file:
        places = [line.split()[4] for line in file]
    mine = [place for place in places if place in ("/dev/shm", "/dev/pts", "/dev/mqueue")]
    assert said(engine, script, Binds=[f"/dev:/dev{mode}"]).strip() == str(len(mine))


def test_the_hosts_network_comes_with_its_names(engine: Engine) -> None:
    with open("/etc/hosts") as file:
        names = file.read()
    found = said(engine, "cat /etc/hosts", NetworkMode="host", ExtraHosts=["more:192.0.2.1"])
    assert found == f"{names}192.0.2.1\tmore\n"


def test_a_read_only_root_has_read_only_files(engine: Engine) -> None:
    files = ("hosts", "hostname", "resolv.conf")
    script = "; ".join(f"echo x >> /etc/{name}" for name in files)
    assert said(engine, script, ReadonlyRootfs=True).count("Read-only file system") == 3
    assert said(engine, script) == ""


def test_a_network_is_joined_through_another_container(engine: Engine) -> None:
    first = engine.run("sleep", "60", Hostname="first")
    second = engine.run("sleep", "60", HostConfig={"NetworkMode": f"container:{first}"})
    try:
        assert said(engine, "cat /etc/hostname", NetworkMode=f"container:{second}") == "first\n"
    finally:
        for container in (second, first):
            engine.request("DELETE", f"/containers/{container}?force=1")


def test_a_full_host_name_is_known_by_its_first_part(engine: Engine) -> None:
    container = engine.run(
        "sh", "-c", "ping -c1 foobar && ping -c1 foobar.example.com",
        Hostname="foobar.example.com", HostConfig={"NetworkMode": "bridge"},
    )  # fmt: skip
    assert engine.wait(container) == 0
    engine.request("DELETE", f"/containers/{container}")


def test_who_is_privileged_keeps_the_profile_that_was_asked_for(engine: Engine) -> None:
    profile = (
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chown", "lchown", '
        '"fchownat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    host = {"Privileged": True, "SecurityOpt": [f"seccomp={profile}"]}
    assert "Operation not permitted" in said(engine, "chown 42 /data/from-image", **host)
    assert said(engine, "chown 42 /data/from-image", Privileged=True) == ""


def test_no_paths_are_masked_where_an_empty_list_says_so(engine: Engine) -> None:
    host: dict[str, Any] = {"MaskedPaths": [], "ReadonlyPaths": []}
    container = engine.create("true", HostConfig=host)
    shown = engine.inspect(container)["HostConfig"]
    assert (shown["MaskedPaths"], shown["ReadonlyPaths"]) == ([], [])
    engine.request("DELETE", f"/containers/{container}")
