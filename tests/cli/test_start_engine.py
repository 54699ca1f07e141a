"""The engine is started when nobody answers: once, by root, with its last words if it fails."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.kit.paths import Paths
from sampan.linux.cgroup import own
from tests.cli.conftest import PROGRAM

ENGINE = """#!{python} -IS
import os, socket, sys
root, run = sys.argv[sys.argv.index("--root") + 1], sys.argv[sys.argv.index("--run") + 1]
with open(root + "/started", "a") as file:
    print(os.getpid(), os.getsid(0), file=file)
listener = socket.socket(socket.AF_UNIX)
listener.bind(run + "/sampan.sock")
listener.listen()
ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n"
while True:
    sock, _ = listener.accept()
    if b"HTTP" in sock.recv(65536):
        sock.sendall(ANSWER + b"Connection: close\\r\\n\\r\\n[]")
    sock.close()
"""


@pytest.fixture
def sampand(tmp_path):
    """`sampand(text)` puts a program of that text into a PATH, which it returns."""
    directory = tmp_path / "bin"
    directory.mkdir()

    def install(text):
        path = directory / "sampand"
        path.write_text(text.replace("{python}", os.path.realpath(sys.executable)))
        path.chmod(0o755)
        return f"{directory}:{os.environ['PATH']}"

    yield install
    started = tmp_path / "root" / "started"
    for line in started.read_text().splitlines() if started.exists() else ():
        os.kill(int(line.split()[0]), signal.SIGKILL)
    name = Paths(root="", run=str(tmp_path / "run")).engine_cgroup
    own.give_back(name)


def test_many_commands_at_once_start_one_engine(tmp_path, sampand):
    environment = {
        "PATH": sampand(ENGINE),
        "SAMPAN_ROOT": str(tmp_path / "root"),
        "SAMPAN_RUN": str(tmp_path / "run"),
        "HOME": str(tmp_path),
    }
    processes = [
        subprocess.Popen([*PROGRAM, "ps", "-q"], env=environment, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [p.communicate(timeout=30)[1] for p in processes] == [b""] * 4
    assert [p.returncode for p in processes] == [0] * 4
    (line,) = (tmp_path / "root" / "started").read_text().splitlines()
    pid, session = line.split()
    assert session not in (pid, str(os.getsid(0))), "a session of its own, but not its leader"


def test_an_engine_that_fails_has_the_last_word(sampan, sampand, tmp_path):
    path = sampand("#!/bin/sh\necho 'no cgroups here' >&2\nexit 3\n")
    result = sampan("ps", PATH=path)
    assert result.returncode == 1
    assert "the engine ended while it started; its log is" in result.stderr
    assert "no cgroups here" in result.stderr
    name = Paths(root="", run=str(tmp_path / "run")).engine_cgroup
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{name}"))
    assert "Traceback" not in result.stderr


def test_an_engine_that_was_named_is_not_started(sampan, sampand, tmp_path):
    path = sampand(ENGINE)
    result = sampan("ps", PATH=path, SAMPAN_HOST=f"unix://{tmp_path}/other.sock")
    assert result.returncode == 1
    assert not (tmp_path / "root").exists()


@pytest.mark.needs("users-python")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_only_root_can_start_one(tmp_path):
    # The interpreter drops its rights itself: nobody could not read this directory.
    code = PROGRAM[-1].replace("import sys;", "import os, sys;", 1)
    code = code.replace("\nsys.exit", "\nos.setuid(65534)\nsys.exit")
    result = subprocess.run(
        [*PROGRAM[:-1], code, "--run", str(tmp_path / "run"), "volume", "ls"],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": "/nonexistent"},
    )
    assert result.returncode == 1
    assert "only root can start one" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
