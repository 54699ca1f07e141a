"""`userns-remap`: root of a container is somebody without rights on the host."""

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dockerapi.test_build import START, build, made, packed
from tests.dockerapi.test_containers import output, remove
from tests.dockerapi.test_runtimes import run_in
from tests.engine_process import Engine
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount", "userns", "mapped-layers")
FIRST, COUNT = 300000, 65536


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """With a range for dockremap in a mount namespace of its own; the host's files stay."""
    place = tmp_path_factory.mktemp("subid")
    script = ""
    for name in ("subuid", "subgid"):
        (place / name).write_text(f"other:1:1\ndockremap:{FIRST}:{COUNT}\n")
        script += f"mount --bind {place}/{name} /etc/{name} && "
    below = ("unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh")
    with Engine("--userns-remap", "default", below=below) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


def test_root_is_mapped_and_owns_its_files(engine: Engine) -> None:
    script = "id -u; stat -c %u:%g /bin /etc/hosts /dev/shm; cat /proc/self/uid_map; sleep 100"
    container = engine.run("sh", "-c", script, HostConfig={"NetworkMode": "bridge"})
    assert run_in(engine, container, "id", "-u") == (b"0\n", 0)
    until(lambda: output(engine, container, "stdout=1").count(b"\n") == 5)
    said = output(engine, container, "stdout=1").decode().split()
    assert said == ["0", "0:0", "0:0", "0:0", "0", str(FIRST), str(COUNT)]
    pid = engine.inspect(container)["State"]["Pid"]
    assert os.stat(f"/proc/{pid}").st_uid == FIRST
    assert "name=userns" in engine.request("GET", "/info")[1]["SecurityOptions"]
    remove(engine, container)


def test_what_it_writes_belongs_to_nobody_else(engine: Engine) -> None:
    script = "touch /new /vol/new && chown 5:6 /new && echo 127.0.0.9 x >>/etc/hosts; sleep 100"
    container = engine.run("sh", "-c", script, Volumes={"/vol": {}})
    assert run_in(engine, container, "stat", "-c", "%u:%g", "/new", "/vol/new")[1] == 0
    said = run_in(engine, container, "sh", "-c", "stat -c %u:%g /new /vol/new; grep 9 /etc/hosts")
    assert said[0] == b"5:6\n0:0\n127.0.0.9 x\n"
    # in and out, while it runs and when it does not: owners are the container's
    for _ in range(2):
        assert owners(engine, container, "/new") == {"new": (5, 6)}
        put(engine, container, "copied", 7)
        assert owners(engine, container, "/copied") == {"copied": (7, 7)}
        engine.request("POST", f"/containers/{container}/stop?t=0")
    remove(engine, container)


def owners(engine: Engine, container: str, path: str) -> dict[str, tuple[int, int]]:
    status, data = engine.request("GET", f"/containers/{container}/archive?path={path}")
    assert status == 200, data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: (member.uid, member.gid) for member in tar}


def put(engine: Engine, container: str, name: str, owner: int) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.uid = member.gid = owner
        tar.addfile(member)
    path = f"/containers/{container}/archive?path=/"
    assert engine.request("PUT", path, archive.getvalue())[0] == 200


def test_a_directory_of_the_host_stays_the_host_s(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    binds = {"Binds": [f"{tmp_path}:/host"], "NetworkMode": "none"}
    container = engine.run("cat", "/host/secret", HostConfig=binds)
    assert engine.wait(container) == 1
    assert b"Permission denied" in output(engine, container)
    remove(engine, container)


def test_the_host_s_user_namespace_for_one_container(engine: Engine) -> None:
    host = {"UsernsMode": "host", "NetworkMode": "host", "Privileged": True}
    container = engine.run("cat", "/proc/self/uid_map", HostConfig=host)
    assert engine.wait(container) == 0
    assert output(engine, container).split()[-1] == b"4294967295"
    remove(engine, container)


def test_namespaces_are_shared_among_the_mapped_alone(engine: Engine) -> None:
    modes = {"NetworkMode": "bridge", "IpcMode": "shareable"}
    first = engine.run("sleep", "100", HostConfig=modes)
    shared = dict.fromkeys(("NetworkMode", "PidMode", "IpcMode"), f"container:{first}")
    script = "ip -o link | wc -l; ps | grep -c sleep; touch /dev/shm/of-second"
    second = engine.run("sh", "-c", script, HostConfig=shared)
    assert engine.wait(second) == 0, output(engine, second)
    assert output(engine, second, "stdout=1").split()[0] == b"2"
    assert run_in(engine, first, "stat", "-c", "%u", "/dev/shm/of-second") == (b"0\n", 0)
    outside = engine.run("sleep", "100", HostConfig={"UsernsMode": "host", "NetworkMode": "bridge"})
    third = engine.create("true", HostConfig={"NetworkMode": f"container:{outside}"})
    status, answer = engine.request("POST", f"/containers/{third}/start")
    assert status == 500 and "--userns=host" in answer["message"]
    for container in (first, second, outside, third):
        remove(engine, container)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ({"Privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"NetworkMode": "host"}, "cannot share the host's network namespace"),
        ({"PidMode": "host"}, "cannot share the host's PID namespace"),
        ({"UsernsMode": "mine"}, "invalid USER mode: mine"),
    ],
)
def test_what_does_not_go_together_is_refused(engine: Engine, host: object, sentence: str) -> None:
    body = {"Image": "busybox", "HostConfig": host}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status == 400 and sentence in answer["message"], json.dumps(answer)


def test_an_image_built_here_has_the_owners_of_its_files(engine: Engine) -> None:
    steps = ["/bin/busybox touch /made", "/bin/busybox cp /proc/self/uid_map /map",
             "/bin/busybox chown 5 /made"]  # fmt: skip
    text = START + "".join(f"RUN {json.dumps(step.split())}\n" for step in steps)
    image = made(build(engine, packed(text, {}))[1])
    script = ("stat", "-c", "%u", "/made"), ("cat", "/map")
    for command, said in zip(script, ([b"5"], [b"0", b"300000", b"65536"]), strict=True):
        container = engine.run("/bin/busybox", *command, Image=image)
        assert engine.wait(container) == 0
        assert output(engine, container, "stdout=1").split() == said
        remove(engine, container)
    engine.request("DELETE", f"/images/{image}?force=1")
