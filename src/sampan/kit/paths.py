"""Where one installation keeps its state, and what it calls its things on the host.

Two directories move everything: `root` (survives a reboot) and `run` (does not). Names that are
global on a host (bridge, nft table, cgroup) carry a suffix made from `run`, so that engines with
different directories stand side by side; the default installation has the plain names.
"""

from __future__ import annotations

import os

from sampan.kit.record import Record

DEFAULT_ROOT = "/var/lib/sampan"
DEFAULT_RUN = "/run/sampan"


class Paths(Record):
    root: str
    run: str

    @property
    def api_socket(self) -> str:
        return f"{self.run}/sampan.sock"

    @property
    def spawner_socket(self) -> str:
        return f"{self.run}/spawner.sock"

    @property
    def resolver_socket(self) -> str:
        return f"{self.run}/resolver.sock"

    @property
    def database(self) -> str:
        return f"{self.root}/sampan.db"

    def bundle(self, container_id: str) -> str:
        """A container's files that survive a reboot: log, exit record, hosts, resolv.conf."""
        return f"{self.root}/containers/{container_id}"

    def container_run(self, container_id: str) -> str:
        """A container's files that do not: the monitor's socket and pid, the mount point."""
        return f"{self.run}/containers/{container_id}"

    def monitor_socket(self, container_id: str) -> str:
        return f"{self.container_run(container_id)}/monitor.sock"

    @property
    def suffix(self) -> str:
        """Eight hex digits that tell installations apart; empty for the default one."""
        if self.run == DEFAULT_RUN:
            return ""
        import hashlib

        return hashlib.sha256(self.run.encode()).hexdigest()[:8]

    @property
    def bridge(self) -> str:
        """The default bridge's interface name (at most 15 bytes, IFNAMSIZ)."""
        return f"smp-{self.suffix}" if self.suffix else "sampan0"

    @property
    def nft_table(self) -> str:
        return f"sampan-{self.suffix}" if self.suffix else "sampan"

    @property
    def cgroup_parent(self) -> str:
        return f"/sampan-{self.suffix}" if self.suffix else "/sampan"

    @property
    def engine_cgroup(self) -> str:
        """The name of that of an engine which a command has started."""
        return f"sampand-{self.suffix}" if self.suffix else "sampand"


def from_environment(root: str | None = None, run: str | None = None) -> Paths:
    """Flags first, then SAMPAN_ROOT and SAMPAN_RUN, then the defaults."""
    return Paths(
        root=os.path.abspath(root or os.environ.get("SAMPAN_ROOT") or DEFAULT_ROOT),
        run=os.path.abspath(run or os.environ.get("SAMPAN_RUN") or DEFAULT_RUN),
    )
