"""Checkpoints of the engine's containers: with a criu that works here, and what is refused."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.engine_process import SOURCE, Engine

pytestmark = pytest.mark.needs("mount")

COUNT = "mkfifo /in; n=0; while read line </in; do n=$((n+1)); echo $n $line; done"


@pytest.fixture
def sampan(engine):
    """`sampan("ps")` → its output; everything that runs is removed at the end."""

    def run(*words, code=0):
        command = "import sys; from sampan.cli.main import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", command, *words],
            env={"PYTHONPATH": SOURCE, "SAMPAN_HOST": engine.docker_host, "HOME": "/nonexistent"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    yield run
    for container in engine.request("GET", "/containers/json?all=1")[1]:
        engine.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")


def say(sampan, text, expected):
    """Have the container say it, and follow its output until it has."""
    script = f"until test -p /in; do usleep 9000; done; echo {text} >/in"
    sampan("exec", "count", "sh", "-c", script)
    for _ in range(50):
        said = sampan("logs", "count").splitlines()
        if expected in said:
            return
    raise AssertionError((expected, said))


@pytest.mark.needs("criu")
def test_it_goes_on_where_it_was(engine, sampan):
    sampan("network", "create", "quay")
    sampan("run", "-d", "--name", "count", "--network", "quay", "busybox", "sh", "-c", COUNT)
    try:
        say(sampan, "a", "1 a")
        assert sampan("checkpoint", "create", "count", "one") == "one\n"
        status = sampan("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "count")
        assert status == "exited 137\n"
        assert sampan("checkpoint", "ls", "count") == "CHECKPOINT NAME\none\n"
        for turn in ("b", "c"):  # a checkpoint serves as often as one likes
            sampan("start", "--checkpoint", "one", "count")
            say(sampan, turn, f"2 {turn}")
            assert "    inet " in sampan("exec", "count", "ip", "a", "show", "eth0")
            sampan("exec", "count", "nslookup", "-type=a", "count")
            sampan("checkpoint", "create", "--leave-running", "count", f"more-{turn}")
            say(sampan, "d", "3 d")
            sampan("kill", "count")
            assert sampan("wait", "count") == "137\n"
        assert sampan("checkpoint", "ls", "count").split()[2:] == ["more-b", "more-c", "one"]
        sampan("checkpoint", "rm", "count", "one")
        assert "one does not exist" in sampan("start", "--checkpoint", "one", "count", code=1)
    finally:
        sampan("rm", "-f", "count")
        sampan("network", "rm", "quay")


@pytest.mark.needs("criu")
def test_a_restored_one_outlives_the_engine(own_engine):
    def request(method, path, body=None):
        status, answer = own_engine.request(method, f"/containers{path}", body)
        assert status < 300, answer
        return answer

    script = "trap 'exit 7' TERM; while :; do sleep 0.05; done"
    body = {"Image": "busybox", "Cmd": ["sh", "-c", script], "Tty": True}
    ident = request("POST", "/create", body)["Id"]
    request("POST", f"/{ident}/start")
    where = f"{own_engine.top}/elsewhere"
    wanted = {"CheckpointID": "one", "CheckpointDir": where, "Exit": True}
    request("POST", f"/{ident}/checkpoints", wanted)
    assert request("GET", f"/{ident}/checkpoints?dir={where}") == [{"Name": "one"}]
    request("POST", f"/{ident}/start?checkpoint=one&checkpoint-dir={where}")
    own_engine.stop(9)
    own_engine.start()
    assert request("GET", f"/{ident}/json")["State"]["Running"]
    request("POST", f"/{ident}/stop")
    assert request("GET", f"/{ident}/json")["State"]["ExitCode"] == 7
    request("DELETE", f"/{ident}/checkpoints/one?dir={where}")


@pytest.mark.needs("criu")
def test_a_broken_checkpoint_leaves_nothing(engine, sampan):
    sampan("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT)
    sampan("checkpoint", "create", "count", "one")
    bundle = f"{engine.paths.root}/containers/{sampan('inspect', '-f', '{{.Id}}', 'count').strip()}"
    with open(f"{bundle}/checkpoints/one/pstree.img", "wb"):
        pass
    assert "criu failed" in sampan("start", "--checkpoint", "one", "count", code=1)
    sampan("start", "count")  # from its beginning
    say(sampan, "a", "1 a")


@pytest.mark.skipif(not shutil.which("docker"), reason="docker's own program is not installed")
def test_dockers_program_wants_an_experimental_engine():
    with Engine("--experimental") as engine:
        assert engine.request("GET", "/info")[1]["ExperimentalBuild"]
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": engine.docker_host}
        for words in (("create", "--name", "idle", "busybox"), ("checkpoint", "ls", "idle")):
            done = subprocess.run(
                ["docker", *words], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        assert done.stdout == "CHECKPOINT NAME\n"


def test_what_is_refused(engine, sampan):
    sampan("create", "--name", "idle", "busybox", "true")

    def refused(body, code):
        status, answer = engine.request("POST", "/containers/idle/checkpoints", body)
        assert status == code
        return answer["message"]

    assert "is not running" in refused({"CheckpointID": "one"}, 409)
    assert 'invalid checkpoint ID "../x"' in refused({"CheckpointID": "../x"}, 400)
    assert "no absolute path" in sampan("checkpoint", "ls", "--checkpoint-dir", "x", "idle", code=1)
    assert sampan("checkpoint", "ls", "idle") == "CHECKPOINT NAME\n"
    assert "checkpoint one does not exist" in sampan("checkpoint", "rm", "idle", "one", code=1)


def test_without_criu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with Engine() as engine:
        body = {"Image": "busybox", "Cmd": ["sleep", "1000"]}
        ident = engine.request("POST", "/containers/create", body)[1]["Id"]
        engine.request("POST", f"/containers/{ident}/start")
        wanted = {"CheckpointID": "one", "Exit": True}
        status, answer = engine.request("POST", f"/containers/{ident}/checkpoints", wanted)
        assert (status, "criu is not installed on this host" in answer["message"]) == (400, True)
        assert engine.request("GET", f"/containers/{ident}/checkpoints")[1] == []
        assert engine.request("GET", f"/containers/{ident}/json")[1]["State"]["Running"]
