"""What Sampan costs on one Python or another: processor time, page faults and memory, no wall time.

    .venv/bin/python bench/interpreters.py . /another/checkout ...

Each checkout was set up with a Python of its own (`SAMPAN_PYTHON=python3.13 ./do setup`). They take
turns, the medians are printed. Everything that a checkout starts (program, engine, spawner,
monitors, containers) is in one cgroup of its own, whose clock is read before and after; so the
figures hold on a busy machine, too.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parent))
from peers import IMAGE, Sampan, pss
from run import busybox_rootfs

COUNT = 10
V1 = Path("/sys/fs/cgroup/cpuacct")


class Checkout(Sampan):
    """Sampan as another directory has it, all its processes in one cgroup."""

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, work: Path, directory: Path) -> None:
        self.directory = directory.resolve()
        self.name = str(self.directory).strip("/").replace("/", "-")
        self.cgroup = f"sampan-bench-{self.name}"
        pool = {"base": "10.231.0.0/16", "size": 24}  # others may have used up the usual ones
        self.settings = {"cgroup-parent": f"/{self.cgroup}", "default-address-pools": [pool]}
        super().__init__(work)
        self._own.mkdir(parents=True, exist_ok=True)

    @property
    def _clock(self) -> Path:
        return (V1 if V1.exists() else Path("/sys/fs/cgroup")) / self.cgroup

    def command(self, *arguments: str) -> list[str]:
        program = str(self.directory / ".venv/bin/sampan")
        enter = f"echo 0 >{self._own}/cgroup.procs"
        return ["/bin/sh", "-c", f'{enter} && exec "$0" "$@"', program, *arguments]

    def stop(self) -> None:
        super().stop()
        for top in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            for path in (top / self.cgroup / "bench", top / self.cgroup):
                if path.is_dir():
                    path.rmdir()

    @property
    def _own(self) -> Path:
        """Where program and engine are; on v2 not where the containers' cgroups are made."""
        return self._clock if V1.exists() else self._clock / "bench"

    def python(self) -> str:
        python = str(self.directory / ".venv/bin/python")
        return subprocess.check_output([python, "-V"], text=True).split()[1]

    def used(self) -> float:
        """Milliseconds of processor time so far."""
        if V1.exists():
            return int((self._clock / "cpuacct.usage").read_text()) / 1e6
        return int((self._clock / "cpu.stat").read_text().split()[1]) / 1e3

    def cost(self, *arguments: str, times: int = COUNT) -> float:
        """Milliseconds of processor time that one such command takes, in all processes."""
        before = self.used()
        for _ in range(times):
            self.run(*arguments)
        return (self.used() - before) / times


def _floor(peer: Checkout) -> float:
    """What `command` itself costs: a shell."""
    before = peer.used()
    shell = peer.command()[:3]
    for _ in range(COUNT):
        subprocess.run([*shell, "/bin/true"], check=True)
    return (peer.used() - before) / COUNT


def _containers(peer: Checkout) -> dict[str, float]:
    for number in range(COUNT):
        peer.run("run", "-d", "--name", f"bench{number}", IMAGE, "sleep", "1000")
    pids = peer.monitor_pids()
    found = {
        "a container, MB": pss(pids) / max(len(pids), 1),
        "exec, ms": peer.cost("exec", "bench0", "true"),
        "ps, ms": peer.cost("ps"),
        "engine, MB": pss(peer.engine_pids()),
    }
    peer.run("rm", "-f", *(f"bench{number}" for number in range(COUNT)))
    return found


def measure(peer: Checkout) -> dict[str, float]:
    found = {"run --rm, ms": peer.cost("run", "--rm", IMAGE, "true")} | _containers(peer)
    floor = _floor(peer)
    return {name: value - floor * name.endswith(", ms") for name, value in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="turns (medians are shown)")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="sampan-bench-", dir="/var/tmp"))
    peers = [Checkout(work, directory) for directory in options.checkouts]
    try:
        _, archive = busybox_rootfs(work)
        for peer in peers:
            peer.start()
            peer.load(archive)
            peer.cost("run", "--rm", IMAGE, "true")
        _turns(peers, options.runs)
    finally:
        for peer in peers:
            peer.stop()
        shutil.rmtree(work, ignore_errors=True)
    return 0


def _turns(peers: list[Checkout], runs: int) -> None:
    taken = [[measure(peer) for peer in peers] for _ in range(runs)]
    names = list(taken[0][0])
    print("| Python | " + " | ".join(names) + " |")
    for number, peer in enumerate(peers):
        cells = [statistics.median(turn[number][name] for turn in taken) for name in names]
        print(f"| {peer.python()} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


if __name__ == "__main__":
    sys.exit(main())
