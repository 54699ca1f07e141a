"""The programs under measurement, each with its own directories and its own daemon.

A peer knows how to start and stop itself, how to load the one test image, and the command line for
each thing that is measured. A peer that is not installed says so and is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "bench/busybox:latest"


class Peer:
    name = ""
    needs: tuple[str, ...] = ()

    def __init__(self, work: Path) -> None:
        self.work = work / self.name
        self.work.mkdir(parents=True, exist_ok=True)  # several rows may start the same peer
        self.processes: list[subprocess.Popen[bytes]] = []

    @classmethod
    def missing(cls) -> list[str]:
        return [program for program in cls.needs if shutil.which(program) is None]

    def command(self, *arguments: str) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            self.command(*arguments), env=self.environment(), capture_output=True, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: {done.stderr.decode()[-500:]}")
        return done

    def time(self, *arguments: str) -> float:
        """Milliseconds from posix_spawn(3) to the end of one command, its output thrown away."""
        command, environment = self.command(*arguments), self.environment()
        quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
        start = time.perf_counter()
        pid = os.posix_spawn(command[0], command, environment, file_actions=quiet)
        _, status = os.waitpid(pid, 0)
        taken = (time.perf_counter() - start) * 1e3
        if status:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: status {status:#x}")
        return taken

    def start(self) -> None: ...

    def load(self, rootfs_tar: Path) -> None:
        self.run("import", str(rootfs_tar), IMAGE)

    def pull(self, reference: str) -> None:
        self.run("pull", reference)

    def run_once(self, reference: str) -> None:
        self.run("run", "--rm", "--network", "none", reference, "/bin/true")

    def forget(self, reference: str) -> None:
        self.run("rmi", reference)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def monitor_pids(self) -> list[int]:
        """The processes that exist once for each running container, besides the container."""
        return []

    def engine_pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def _daemon(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.work / log, "wb") as output:
            process = subprocess.Popen(arguments, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def _await(self, *probe: str) -> None:
        deadline = time.monotonic() + 60
        while self.run(*probe, check=False).returncode:
            if time.monotonic() > deadline or self.processes[-1].poll() is not None:
                raise RuntimeError(f"{self.name} did not start; its logs are in {self.work}")
            time.sleep(0.2)


class Sampan(Peer):
    name = "sampan"
    settings: ClassVar[dict[str, Any]] = {}

    def command(self, *arguments: str) -> list[str]:
        return [str(ROOT / ".venv/bin/sampan"), *arguments]

    def environment(self) -> dict[str, str]:
        root, run = str(self.work / "root"), str(self.work / "run")
        config = {"SAMPAN_CONFIG": str(self.work / "sampand.json")} if self.settings else {}
        return {**os.environ, "SAMPAN_ROOT": root, "SAMPAN_RUN": run, **config}

    def start(self) -> None:
        if self.settings:
            (self.work / "sampand.json").write_text(json.dumps(self.settings))
        self.run("version")

    def engine_pids(self) -> list[int]:
        return [pid for pid in _pids_with(str(self.work)) if b"sampand" in _cmdline(pid)]

    def monitor_pids(self) -> list[int]:
        return [pid for pid in _children_of_comm("sampan-monitor") if _is_monitor_of(pid, self)]

    def stop(self) -> None:
        self.run("ps", "-aq", check=False)
        names = self.run("ps", "-aq", check=False).stdout.decode().split()
        if names:
            self.run("rm", "-f", *names, check=False)
        self.run("system", "shutdown", check=False)


class Unpacking(Sampan):
    """Its layers unpacked, as everybody else has them."""

    settings: ClassVar[dict[str, Any]] = {"storage-driver": "overlay"}


class Docker(Peer):
    name = "docker"
    needs = ("docker", "dockerd", "containerd")

    @property
    def socket(self) -> str:
        return f"unix://{self.work}/docker.sock"

    def command(self, *arguments: str) -> list[str]:
        return [shutil.which("docker") or "docker", "-H", self.socket, *arguments]

    def start(self) -> None:
        config = self.work / "daemon.json"
        config.write_text(json.dumps({"insecure-registries": ["127.0.0.0/8"]}))
        self._daemon(
            "dockerd.log",
            shutil.which("dockerd") or "dockerd",
            *("--config-file", str(config), "-H", self.socket, "--bip", "172.29.99.1/24"),
            *("--data-root", str(self.work / "root"), "--exec-root", str(self.work / "run")),
            *("--pidfile", str(self.work / "pid")),
        )
        self._await("version")

    def engine_pids(self) -> list[int]:
        dockerd = self.processes[0].pid
        return [dockerd, *_children(dockerd)]

    def monitor_pids(self) -> list[int]:
        return [
            pid
            for pid in _children_of_comm("containerd-shim")
            if str(self.work).encode() in _cmdline(pid)
        ]


class Podman(Peer):
    name = "podman"
    needs = ("podman", "conmon", "runc")

    def command(self, *arguments: str) -> list[str]:
        return [
            shutil.which("podman") or "podman",
            *("--root", str(self.work / "root"), "--runroot", str(self.work / "run")),
            *("--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"),
            *arguments,
        ]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CONTAINERS_CONF": str(self.work / "containers.conf")}

    def start(self) -> None:
        (self.work / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=1024:4096"]\n'
            '[engine]\nruntime = "runc"\nevents_logger = "none"\n'
        )

    def pull(self, reference: str) -> None:
        self.run("pull", "--tls-verify=false", reference)

    def monitor_pids(self) -> list[int]:
        return [
            pid for pid in _children_of_comm("conmon") if str(self.work).encode() in _cmdline(pid)
        ]


class Containerd(Peer):
    """Only pulls and runs what it has pulled; its client is ctr."""

    name = "containerd"
    needs = ("containerd", "ctr", "runc")

    def command(self, *arguments: str) -> list[str]:
        return [shutil.which("ctr") or "ctr", "--address", f"{self.work}/sock", *arguments]

    def start(self) -> None:
        config = self.work / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{self.work}/root"\nstate = "{self.work}/run"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self.work}/sock"\n'
        )
        self._daemon("log", shutil.which("containerd") or "containerd", "--config", str(config))
        self._await("version")

    def pull(self, reference: str) -> None:
        self.run("image", "pull", "--plain-http", reference)

    def run_once(self, reference: str) -> None:
        self.run("run", "--rm", reference, "bench", "/bin/true")

    def forget(self, reference: str) -> None:
        self.run("image", "rm", "--sync", reference)


def descendants(pids: list[int]) -> list[int]:
    """These processes and all that they have begotten."""
    found = list(pids)
    for pid in found:
        found += [child for child in _children(pid) if child not in found]
    return found


def pss(pids: list[int]) -> float:
    """Proportional set size in MB, summed."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue
    return total / 1024


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _children_of_comm(comm: str) -> list[int]:
    return [pid for pid in _all_pids() if _comm(pid) == comm[:15]]


def _children(parent: int) -> list[int]:
    found = []
    for pid in _all_pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(pid)
    return found


def _pids_with(text: str) -> list[int]:
    """Processes whose environment or command line names `text`."""
    found = []
    for pid in _all_pids():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if text.encode() in environment or text.encode() in _cmdline(pid):
            found.append(pid)
    return found


def _is_monitor_of(pid: int, peer: Peer) -> bool:
    """A monitor holds its container's log open."""
    try:
        names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return any(name.startswith(str(peer.work)) for name in names)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
