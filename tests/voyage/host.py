"""What of ours is on the host right now: the things that a leak would leave."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path

from sampan.kit.paths import Paths

from .programs import Engine, until


class Host:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.paths = Paths(root=str(engine.root), run=str(engine.run))

    def traces(self) -> dict[str, object]:
        return {
            "mounts": self.mounts(),
            "network namespaces": len(self.network_namespaces()),
            "links": self.links(),
            "nft elements": self.nft_elements(),
            "cgroups": self.cgroups(),
            "processes": self.processes(),
            "engine's descriptors": self.engine_descriptors(),
            "directories": self.directories(),
        }

    def when_quiet(self) -> dict[str, object]:
        """The traces once the last container's are gone; whatever is made once must be made."""
        until(lambda: self.links() == 0 and self.cgroups() == 0)
        return self.traces()

    def returns_to(self, before: dict[str, object]) -> None:
        """What is left behind goes within a moment, or the difference is shown."""
        for _ in range(100):
            after = self.traces()
            if after == before:
                return
            select.select([], [], [], 0.1)
        changed = {key: (before[key], after[key]) for key in after if after[key] != before[key]}
        raise AssertionError(f"left behind (before, after): {changed}")

    def mounts(self) -> int:
        text = Path("/proc/self/mountinfo").read_text()
        return text.count(str(self.engine.root)) + text.count(str(self.engine.run))

    def network_namespaces(self) -> set[str]:
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/net"))
            except OSError:
                continue
        return found

    def links(self) -> int:
        bridge = Path("/sys/class/net", self.paths.bridge, "brif")
        return len(list(bridge.iterdir())) if bridge.exists() else 0

    def nft_elements(self) -> int:
        shown = subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
        ).stdout
        ours = [part for part in shown.split("table ")[1:] if self.paths.nft_table in part[:60]]
        return sum(part.count(" : ") for part in ours)

    def cgroups(self) -> int:
        found = 0
        for directory, names, _files in os.walk("/sys/fs/cgroup"):
            if directory.endswith(self.paths.cgroup_parent):
                found += len(names)
        return found

    def processes(self) -> int:
        """Spawner, engine, monitors: whoever has our run directory in its environment or name."""
        found = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                comm = Path(f"/proc/{pid}/comm").read_text().strip()
                descriptors = [
                    os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
                ]
            except OSError:
                continue
            ours = any(str(self.engine.work) in name for name in descriptors)
            found += comm.startswith("sampan") and ours
        return found

    def engine_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.engine.pid}/fd"))

    def directories(self) -> dict[str, int]:
        counts = {}
        for base in (self.engine.root, self.engine.run):
            for path in [base / "containers", *base.glob("snapshots/*/c")]:
                if path.exists():
                    counts[str(path)] = len(list(path.iterdir()))
        return counts
