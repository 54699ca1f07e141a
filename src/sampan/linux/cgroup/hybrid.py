"""v1 hierarchies beside a unified tree that has the controllers v1 left over (systemd's "hybrid").

Every process is in both. Controllers and the freezer are v1's where v1 has them; killing is v2's.
"""

from __future__ import annotations

from sampan.linux.cgroup import base, files
from sampan.linux.cgroup.v1 import V1


class Hybrid(V1):
    def create(self) -> None:
        """Leftover controllers are enabled only when a limit asks for one (`Tree.v2`)."""
        super().create()
        base.make(self.tree.unified)

    def add(self, pid: int) -> None:
        super().add(pid)
        files.write(f"{self.tree.unified}/cgroup.procs", str(pid))

    def kill(self, signal: int = 9) -> None:
        if signal == 9 and files.exists(f"{self.tree.unified}/cgroup.kill"):
            files.write(f"{self.tree.unified}/cgroup.kill", "1")
            if not self.is_frozen() and not self.pids():
                return
        super().kill(signal)

    def delete(self) -> None:
        super().delete()
        base.remove(self.tree.unified)
