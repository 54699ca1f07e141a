"""Our unit files under a systemd: started by the socket; containers outlive the service."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .programs import BIN, Cli, Engine, busybox_tar

pytestmark = pytest.mark.needs("mount", "nft", "systemd")
UNITS = Path(__file__).resolve().parents[2] / "systemd"
NAME = "voyage-sampand"
PLACE = Path("/run/systemd/system")


def systemctl(*words: str, check: bool = True) -> str:
    return subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=check
    ).stdout.strip()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Engine]:
    """The two units, under another name and with directories of the test's own."""
    engine = Engine(Path("/tmp/voyage-systemd"))
    shutil.rmtree(engine.work, ignore_errors=True)
    for kind in ("socket", "service"):
        text = (UNITS / f"sampand.{kind}").read_text()
        text = text.replace("sampand.socket", f"{NAME}.socket")
        text = text.replace("/run/sampan/sampan.sock", str(engine.run / "sampan.sock"))
        own = f"{BIN}/sampand --root {engine.root} --run {engine.run}"
        (PLACE / f"{NAME}.{kind}").write_text(text.replace("ExecStart=sampand", f"ExecStart={own}"))
    try:
        systemctl("daemon-reload")
        systemctl("start", f"{NAME}.socket")
        busybox_tar(tmp_path / "busybox", tmp_path / "busybox.tar")
        engine.cli("sampan")("import", str(tmp_path / "busybox.tar"), "busybox")
        yield engine
    finally:
        engine.destroy()
        systemctl("stop", f"{NAME}.socket", f"{NAME}.service", check=False)
        for kind in ("socket", "service"):
            (PLACE / f"{NAME}.{kind}").unlink()
        systemctl("daemon-reload")
        systemctl("reset-failed", f"{NAME}.service", check=False)
        shutil.rmtree(engine.work)


def show(unit: str, key: str) -> str:
    return systemctl("show", "--property", key, "--value", unit)


def pid_of(cli: Cli, name: str) -> int:
    return int(cli.text("inspect", "--format", "{{.State.Pid}}", name))


def test_the_service_comes_with_the_first_word_and_goes_without_its_containers(
    service: Engine,
) -> None:
    cli, unit = service.cli("sampan"), f"{NAME}.service"
    assert show(unit, "ActiveState") == "active"
    cli.run("-d", "--name", "life", "--restart", "always", "busybox", "sleep", "1000")
    pid, engine = pid_of(cli, "life"), show(unit, "MainPID")
    with open(f"/proc/{pid}/cgroup") as file:
        assert NAME not in file.read()
    systemctl("restart", unit)
    assert show(unit, "MainPID") not in (engine, "0")
    assert pid_of(cli, "life") == pid
    assert cli.text("exec", "life", "echo", "still") == "still"
    systemctl("stop", unit)
    os.kill(pid, 0)
    assert cli.text("ps", "--format", "{{.Names}}") == "life"  # and the socket has woken it
    assert show(unit, "ActiveState") == "active"


def test_a_killed_engine_is_started_again_and_finds_its_containers(service: Engine) -> None:
    cli, unit = service.cli("sampan"), f"{NAME}.service"
    cli.run("-d", "--name", "life", "-m", "64m", "-p", "127.0.0.1:0:80", "busybox", "sleep", "1000")
    pid = pid_of(cli, "life")
    service.kill()
    assert pid_of(cli, "life") == pid  # waits in the socket for the next one
    assert int(show(unit, "NRestarts")) <= 1
    cli("stop", "-t", "0", "life")
    assert cli.text("wait", "life") == "137"
