"""cgroup v2: one directory, controllers enabled from above. kernel: admin-guide/cgroup-v2.rst"""

from __future__ import annotations

from sampan.linux.cgroup import base, files, freezer, tree


class V2(base.Base):
    def create(self) -> None:
        directory = self.tree.unified
        tree.enable(self.tree.mount_point, directory)

    def add(self, pid: int) -> None:
        base.enter(self.tree.unified, pid)

    def freeze(self) -> None:
        freezer.set_v2(self.tree.unified, True)

    def thaw(self) -> None:
        freezer.set_v2(self.tree.unified, False)

    def is_frozen(self) -> bool:
        return freezer.is_frozen_v2(self.tree.unified)

    def pids(self) -> list[int]:
        return list(base.walk_pids(self.tree.unified))

    def kill(self, signal: int = 9) -> None:
        """cgroup.kill (Linux 5.14) reaches everyone at once, also the frozen and the forking."""
        if signal == 9:
            try:
                files.write(f"{self.tree.unified}/cgroup.kill", "1")
                return
            except FileNotFoundError:  # an older kernel, or the cgroup is gone
                pass
        for pid in self.pids():
            base.send(pid, signal)

    def delete(self) -> None:
        base.remove(self.tree.unified)
