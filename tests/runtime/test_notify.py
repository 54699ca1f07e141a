"""A service in a container tells systemd that it is ready: sd_notify(3) through the runtime."""

import array
import os
import select
import socket
import subprocess

import pytest

from tests.conformance.test_oci_runtime import SAMPAN, Runtime

pytestmark = pytest.mark.needs("mount")
# busybox has no sd_notify, but its logger sends a datagram to /dev/log; the tag comes first
READY = 'ln -s "$NOTIFY_SOCKET" /dev/log; busybox logger "$(printf "x\\nREADY=1")"; sleep 100'


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """The socket of who started the service."""
    path = str(tmp_path / "manager.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield sock


@pytest.fixture
def oci(tmp_path):
    made = Runtime(SAMPAN, tmp_path, "sampan-oci")
    made.config["process"]["env"] = ["PATH=/bin"]
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


def started(oci, *words):
    return subprocess.Popen(
        [*oci.command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=oci.bundle,
    )


def told(manager):
    """What came, and that the sender waits until the barrier is let go."""
    assert select.select([manager], [], [], 20)[0], "nothing came"
    ready = manager.recv(4096)
    data, rights, _, _ = manager.recvmsg(4096, 64)
    assert data == b"BARRIER=1"
    os.close(array.array("i", rights[0][2])[0])
    return ready


def test_run_detached_returns_when_it_is_ready(oci, manager):
    oci.config["process"]["args"] = ["sh", "-c", READY]
    container = oci.id("ready")
    oci.write()
    program = started(oci, "run", "--detach", "--pid-file", "pid", container)
    message = told(manager)
    assert program.wait(20) == 0
    assert message == b"READY=1\nMAINPID=%s\n" % (oci.bundle / "pid").read_bytes()
    oci("delete", "--force", container)
    assert not list((oci.bundle.parent / "state").iterdir())


def test_run_in_front_is_the_main_process_itself(oci, manager):
    oci.config["process"]["args"] = ["sh", "-c", READY]
    container = oci.id("ready")
    oci.write()
    program = started(oci, "run", container)
    assert told(manager) == b"READY=1\nMAINPID=%d\n" % program.pid
    oci("kill", container, "KILL")
    assert program.wait(20) == 137


def test_start_tells_it_of_what_create_made(oci, manager):
    container = oci.create("sh", "-c", READY)
    program = started(oci, "start", container)
    assert told(manager) == b"READY=1\nMAINPID=%s\n" % (oci.bundle / "pid").read_bytes()
    assert program.wait(20) == 0


def test_one_that_ends_before_keeps_nobody_waiting(oci, manager):
    for words in (["run"], ["run", "--detach"]):
        oci.config["process"]["args"] = ["sh", "-c", "exit 3"]
        container = oci.id("short")
        oci.write()
        code = started(oci, *words, container).wait(20)
        assert code == (0 if "--detach" in words else 3)
        oci("delete", "--force", container)
    assert not select.select([manager], [], [], 0)[0]
