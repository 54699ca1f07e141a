"""`./do bench`: DESIGN.md's goals, measured side by side with the peers in one run.

    ./do bench                       every row, every installed peer
    ./do bench --only run-none,oci   some rows
    ./do bench --runs 5 --peers docker

Each repetition runs every peer once before any peer runs again, so that a busy moment of the
machine hits all of them; the medians are printed, and the ratio to Sampan's.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build as build_row
import network
import pull as pull_row
from peers import IMAGE, ROOT, Docker, Peer, Podman, Sampan, note, pss

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 50
Row = dict[str, float]


def timed(body: Callable[[], object]) -> float:
    start = time.perf_counter()
    body()
    return (time.perf_counter() - start) * 1e3


def medians(peers: list[Peer], runs: int, body: Callable[[Peer], float]) -> Row:
    """Peer → median of `runs` values, taken turn by turn."""
    taken: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for turn in range(runs + 1):
        for peer in peers:
            value = body(peer)
            if turn:  # the first turn only warms the caches
                taken[peer.name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def run_row(*options: str) -> Callable[[list[Peer], int], Row]:
    def row(peers: list[Peer], runs: int) -> Row:
        return medians(
            peers,
            runs,
            lambda peer: peer.time("run", "--rm", *options, IMAGE, "true"),
        )

    return row


def _start(peer: Peer, number: int) -> None:
    peer.time("run", "-d", "--name", f"bench{number}", IMAGE, "sleep", "1000")


def _remove_all(peer: Peer) -> None:
    peer.time("rm", "-f", *(f"bench{number}" for number in range(COUNT)))


def detached(at_once: int) -> Callable[[list[Peer], int], Row]:
    def body(peer: Peer) -> float:
        def all_of_them() -> None:
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                list(pool.map(lambda number: _start(peer, number), range(COUNT)))

        value = timed(all_of_them)
        _remove_all(peer)
        return value

    return lambda peers, runs: medians(peers, 1 if runs < 10 else 2, body)


def remove_running(peers: list[Peer], runs: int) -> Row:
    def body(peer: Peer) -> float:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: _start(peer, number), range(COUNT)))
        return timed(lambda: _remove_all(peer))

    return medians(peers, 1 if runs < 10 else 2, body)


def exec_true(peers: list[Peer], runs: int) -> Row:
    for peer in peers:
        peer.run("run", "-d", "--name", "bench-exec", IMAGE, "sleep", "1000")
    row = medians(peers, runs, lambda peer: peer.time("exec", "bench-exec", "true"))
    for peer in peers:
        peer.run("rm", "-f", "bench-exec")
    return row


def list_containers(peers: list[Peer], runs: int) -> Row:
    return medians(peers, runs, lambda peer: peer.time("ps"))


def monitor_memory(peers: list[Peer], runs: int) -> Row:
    row = {}
    for peer in peers:
        for number in range(10):
            _start(peer, number)
        pids = peer.monitor_pids()
        row[peer.name] = pss(pids) / max(len(pids), 1)
        peer.run("rm", "-f", *(f"bench{number}" for number in range(10)))
    return row


def engine_memory(peers: list[Peer], runs: int) -> Row:
    return {peer.name: pss(peer.engine_pids()) for peer in peers if peer.engine_pids()}


class Runtime(Peer):
    """An OCI runtime run on a bundle, without any engine."""

    def __init__(self, work: Path, name: str, program: str) -> None:
        self.name = name
        super().__init__(work)
        self.program = program

    def command(self, *arguments: str) -> list[str]:
        return [self.program, "--root", str(self.work / "state"), *arguments]


def oci_run(work: Path, rootfs: Path, runs: int) -> Row:
    programs = {"sampan": str(ROOT / ".venv/bin/sampan-oci")}
    programs |= {name: path for name in ("runc", "crun") if (path := shutil.which(name))}
    bundle = work / "bundle"
    bundle.mkdir()
    spec = shutil.which("runc") or programs["sampan"]
    subprocess.run([spec, "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"args": ["true"], "terminal": False}
    config["process"].pop("rlimits", None)
    config["root"]["path"] = str(rootfs)
    (bundle / "config.json").write_text(json.dumps(config))
    peers: list[Peer] = []
    for name, program in programs.items():
        peer = Runtime(work / "oci", name, program)
        if peer.run("run", "--bundle", str(bundle), f"probe-{name}", check=False).returncode == 0:
            peers.append(peer)
        else:
            note(f"  {name} cannot run a bundle on this host; left out")
    number = iter(range(10_000_000))
    return medians(
        peers,
        runs,
        lambda peer: peer.time("run", "--bundle", str(bundle), f"b{next(number)}"),
    )


def network_row(body: Callable[[Peer], float], *, iperf: bool) -> Callable[[list[Peer], int], Row]:
    def row(peers: list[Peer], runs: int) -> Row:
        return medians(network.usable(peers, iperf=iperf), runs, body)

    return row


ROWS: dict[str, tuple[str, str, str, Callable[[list[Peer], int], Row]]] = {
    "run": ("run --rm busybox true, bridge", "ms", "≤ 40 ms, ≤ 1/8 of docker", run_row()),
    "run-none": ("the same, --network none", "ms", "≤ 30 ms", run_row("--network", "none")),
    "serial": (f"{COUNT} detached starts, one after another", "ms", "≤ 1.5 s", detached(1)),
    "parallel": (f"{COUNT} detached starts, 8 at a time", "ms", "≤ 0.8 s", detached(8)),
    "rm": (f"rm -f of {COUNT} running containers", "ms", "≤ 0.5 s", remove_running),
    "exec": ("exec of true in a running container", "ms", "≤ 30 ms", exec_true),
    "ps": ("ps", "ms", "≤ 35 ms", list_containers),
    "monitor": ("memory a running container adds (PSS)", "MB", "≤ 0.8 MB", monitor_memory),
    "engine": ("engine, idle (PSS)", "MB", "≤ 50 MB", engine_memory),
    "dns": (
        "names answered a second",
        "",
        "≥ 10,000",
        network_row(network.names, iperf=False),
    ),
    "to-host": (
        "iperf3, container to host",
        "Gbit/s",
        "≥ 0.95 of docker",
        network_row(network.throughput(to_host=True), iperf=True),
    ),
    "between": (
        "iperf3, container to container",
        "Gbit/s",
        "≥ 0.95 of docker",
        network_row(network.throughput(to_host=False), iperf=True),
    ),
    "to-host-thrift": (
        "the first, for a second of processor time",
        "Gbit",
        "≥ 0.95 of docker",
        network_row(network.thrift(to_host=True), iperf=True),
    ),
    "between-thrift": (
        "the second, for a second of processor time",
        "Gbit",
        "≥ 0.95 of docker",
        network_row(network.thrift(to_host=False), iperf=True),
    ),
    "to-host-latency": (
        "one byte there and back, container to host",
        "µs",
        "as docker",
        network_row(network.round_trip(to_host=True), iperf=False),
    ),
    "between-latency": (
        "the same, container to container",
        "µs",
        "as docker",
        network_row(network.round_trip(to_host=False), iperf=False),
    ),
}

PULLS = {
    "pull": ("pull and mount: 486 MB, 41,500 files", "ms", "≤ 2.5 s", pull_row.row),
    "pull-memory": ("memory at most during it (PSS)", "MB", "≤ 150 MB", pull_row.memory_row),
    "pull-tmpfs": ("the same pulled and unpacked on tmpfs", "ms", "≤ 2.5 s", pull_row.tmpfs_row),
    "lazy": ("the same as eStargz, lazily: pull to first instruction", "ms", "", pull_row.lazy_row),
}
BUILDS = {
    "build-cold": ("build, 41,500 files of context, cold", "ms", "≤ 5 s", build_row.cold),
    "build-cached": ("the same, all cached", "ms", "≤ 0.7 s", build_row.cached),
    "build-changed": ("the same, one file changed", "ms", "≤ 2 s", build_row.changed),
}
IN_WORK = PULLS | BUILDS  # rows that need a directory
KNOWN = [*ROWS, "oci", *IN_WORK]
_WAYS = ("to-host", "between")


def busybox_rootfs(work: Path) -> tuple[Path, Path]:
    """A directory and its tar: static busybox with links for its applets."""
    busybox = shutil.which("busybox") or sys.exit("./do bench needs busybox-static")
    root = work / "rootfs"
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in subprocess.check_output([busybox, "--list"], text=True).split():
        if applet != "busybox":
            os.symlink("busybox", root / "bin" / applet)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    archive = work / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".")
    return root, archive


def show(title: str, unit: str, goal: str, row: Row) -> None:
    ours = row.get("sampan")
    cells = []
    for name, value in row.items():
        ratio = f" ({value / ours:.2f}x)" if ours and name != "sampan" else ""
        cells.append(f"{name} {value:,.1f} {unit}{ratio}" if unit else f"{name} {value}")
    print(f"| {title} | {' | '.join(cells)} | {goal} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./do bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", help="rows, comma-separated: " + ",".join(KNOWN))
    parser.add_argument("--peers", default="docker,podman", help="which peers, comma-separated")
    parser.add_argument("--runs", type=int, default=10, help="repetitions (medians are shown)")
    return parser.parse_args()


def _wanted(only: str | None) -> list[str]:
    """The rows by name; "network" and "build" stand for all about them."""
    if not only:
        return KNOWN
    paths = [f"{way}{what}" for what in ("", "-thrift", "-latency") for way in _WAYS]
    groups = {"network": ["dns", *paths], "build": [*BUILDS]}
    return [row for name in only.split(",") for row in groups.get(name, [name])]


def main() -> int:
    options = arguments()
    rows = _wanted(options.only)
    if unknown := set(rows) - {*KNOWN}:
        sys.exit(f"./do bench knows no row {', '.join(sorted(unknown))}")
    work = Path(tempfile.mkdtemp(prefix="sampan-bench-", dir="/var/tmp"))
    rootfs, archive = busybox_rootfs(work)
    if "oci" in rows:
        show("run of a bundle", "ms", "≤ 25 ms", oci_run(work, rootfs, options.runs))
    peers: list[Peer] = []
    try:
        for kind in (Sampan, Docker, Podman):
            if kind is not Sampan and kind.name not in options.peers.split(","):
                continue
            if missing := kind.missing():
                note(f"  {kind.name} is left out: {', '.join(missing)} not installed")
                continue
            peer = kind(work)
            peers.append(peer)
            peer.start()
            peer.load(archive)
        for name in rows:
            if name in ROWS:
                title, unit, goal, body = ROWS[name]
                show(title, unit, goal, body(peers, options.runs))
            elif name in IN_WORK:
                title, unit, goal, measured = IN_WORK[name]
                show(title, unit, goal, measured(peers, work))
    finally:
        for peer in peers:
            peer.stop()
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
