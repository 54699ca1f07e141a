"""v1 hierarchies beside a unified tree that has the controllers v1 left over (systemd's "hybrid").

Every process is in both. Controllers and the freezer are v1's where v1 has them; killing is v2's.
"""

from __future__ import annotations

from sampan.linux.cgroup import base, files, freezer
from sampan.linux.cgroup.v1 import V1


class Hybrid(V1):
    def create(self) -> None:
        """Leftover controllers are enabled only when a limit asks for one (`Tree.v2`)."""
        super().create()
        base.make(self.tree.unified)

    def add(self, pid: int) -> None:
        super().add(pid)
        base.enter(self.tree.unified, pid)

    def freeze(self) -> None:
        if self.tree.v1("freezer"):
            super().freeze()
        else:
            freezer.set_v2(self.tree.unified, True)

    def thaw(self) -> None:
        if self.tree.v1("freezer"):
            super().thaw()
        else:
            freezer.set_v2(self.tree.unified, False)

    def is_frozen(self) -> bool:
        return super().is_frozen() or freezer.is_frozen_v2(self.tree.unified)

    def kill(self, signal: int = 9) -> None:
        if signal == 9 and files.exists(f"{self.tree.unified}/cgroup.kill"):
            files.write(f"{self.tree.unified}/cgroup.kill", "1")
            if not self.is_frozen() and not self.pids():
                return
        super().kill(signal)

    def delete(self) -> None:
        super().delete()
        base.remove(self.tree.unified)
