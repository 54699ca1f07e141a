"""containerd's shim with `ctr run --runc-binary`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import RUNTIME, Caller, daemon, eventually, program

pytestmark = pytest.mark.needs("mount", "netns")

# It stays a second: ctr resizes the terminal after the start, and gives up where nothing is left.
TTY = ("/bin/sh", "-c", "tty; sleep 1")


@pytest.fixture(scope="module")
def ctr(place: Path) -> Iterator[Caller]:
    config, socket = place / "containerd.toml", place / "containerd.sock"
    config.write_text(
        f"version = 2\nroot = '{place}/containerd'\nstate = '{place}/containerd-run'\n"
        f"disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{socket}'\n"
    )
    client = Caller(program("ctr"), "-a", str(socket), rootfs=place / "rootfs")
    with daemon(place, program("containerd"), "--config", str(config)):
        command = [*client.command, "version"]
        eventually(
            lambda: subprocess.run(command, capture_output=True).returncode == 0, "containerd"
        )
        yield client


def run(ctr, *words: str, options: tuple[str, ...] = (), **more) -> str:
    own = ("--runc-binary", str(RUNTIME), "--rootfs", *options)
    return ctr("run", *own, str(ctr.rootfs), *words, **more)


def test_runs(ctr):
    assert run(ctr, "a1", "/bin/echo", "hi", options=("--rm",)) == "hi\n"
    run(ctr, "a2", "/bin/sh", "-c", "exit 7", options=("--rm",), code=7)
    assert "/dev/pts/" in run(ctr, "a3", *TTY, options=("--rm", "-t"), tty=True)


def test_a_start_that_fails_says_why(ctr):
    text = run(ctr, "b1", "nope", options=("--rm",), code=1)
    assert 'exec: "nope": executable file not found in $PATH' in text


def test_task(ctr):
    run(ctr, "c1", "/bin/sleep", "100", options=("-d", "--memory-limit", str(64 << 20)))
    task = ("task",)
    assert "RUNNING" in ctr(*task, "ls")
    assert ctr(*task, "exec", "--exec-id", "e1", "c1", "/bin/echo", "in") == "in\n"
    ctr(*task, "exec", "--exec-id", "e2", "c1", "/bin/sh", "-c", "exit 9", code=9)
    tty = ctr(*task, "exec", "-t", "--exec-id", "e3", "c1", *TTY, tty=True)
    assert "/dev/pts/" in tty
    assert len(ctr(*task, "ps", "c1").splitlines()) == 2
    ctr(*task, "pause", "c1")
    assert "PAUSED" in ctr(*task, "ls")
    ctr(*task, "resume", "c1")
    assert str(64 << 20) in ctr(*task, "metrics", "c1")
    ctr(*task, "kill", "-s", "KILL", "c1")
    eventually(lambda: "STOPPED" in ctr(*task, "ls"), "its end")
    ctr(*task, "rm", "c1")
    ctr("container", "rm", "c1")
