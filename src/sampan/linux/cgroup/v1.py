"""cgroup v1: a directory of the same name in every hierarchy. kernel: admin-guide/cgroup-v1"""

from __future__ import annotations

from sampan.linux.cgroup import base, cpuset, files, freezer


class V1(base.Base):
    def create(self) -> None:
        for directory in self._directories():
            base.make(directory)
        if cpuset_directory := self.tree.v1("cpuset"):
            cpuset.inherit(cpuset_directory)

    def add(self, pid: int) -> None:
        for directory in self._directories():
            base.enter(directory, pid)

    def freeze(self) -> None:
        freezer.freeze_v1(self._freezer())

    def thaw(self) -> None:
        """Without a freezer nothing is frozen."""
        if directory := self.tree.v1("freezer"):
            freezer.thaw_v1(directory)

    def is_frozen(self) -> bool:
        directory = self.tree.v1("freezer")
        return directory is not None and freezer.is_frozen_v1(directory)

    def pids(self) -> list[int]:
        return list(base.walk_pids(self._listing()))

    def kill(self, signal: int = 9) -> None:
        """Frozen first, so that nobody forks away; they take the signal when they are thawed."""
        directory = self.tree.v1("freezer")
        if directory is None or not files.exists(directory):
            self._kill_moving(signal)
            return
        was_frozen = freezer.is_frozen_v1(directory)
        try:
            freezer.freeze_v1(directory)
            for pid in self.pids():
                base.send(pid, signal)
        finally:
            if signal == 9 or not was_frozen:
                freezer.thaw_v1(directory)

    def _kill_moving(self, signal: int) -> None:
        """Without a freezer: SIGKILL again and again, for those that were forked meanwhile."""
        for _ in range(20 if signal == 9 else 1):
            found = self.pids()
            for pid in found:
                base.send(pid, signal)
            if not found:
                return

    def delete(self) -> None:
        for directory in self._directories():
            base.remove(directory)

    def _directories(self) -> list[str]:
        """Joined controllers (cpu,cpuacct) have one directory."""
        return list(dict.fromkeys(self.tree.v1_paths.values()))

    def _listing(self) -> str:
        for controller in ("freezer", "pids", "devices", "memory"):
            if directory := self.tree.v1(controller):
                return directory
        return self._directories()[0]

    def _freezer(self) -> str:
        if (directory := self.tree.v1("freezer")) is None:
            raise self.tree.missing("freezer", "pausing")
        return directory
