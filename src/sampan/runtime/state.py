"""The containers of `sampan-oci`: one directory each below its root, as runc's callers expect it.

/run/sampan-oci/ID/state.json    what `state` and `list` show, and what finds the process again
/run/sampan-oci/ID/config.json   as it was at `create`: later edits do not matter
/run/sampan-oci/ID/start.sock    there from `create` to `start`; PID 1 waits behind it
"""

from __future__ import annotations

import os

from sampan.kit import json
from sampan.kit.record import Record
from sampan.linux import cgroup, signals
from sampan.runtime import errors
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-")


class Container(Record):
    id: str
    pid: int
    start_time: int  # clock ticks after boot: with the pid it names one process for ever
    bundle: str
    rootfs: str
    created: str
    cgroup: str
    directory: str
    annotations: dict[str, str] = {}

    @property
    def status(self) -> str:
        """`created`, `running`, `paused` or `stopped`, asked from the kernel."""
        if self.start_time != start_time(self.pid):
            return "stopped"
        if os.path.exists(f"{self.directory}/start.sock"):
            return "created"
        return "paused" if self._frozen() else "running"

    def _frozen(self) -> bool:
        for directory in set(self.manager.paths().values()):
            for name, frozen in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                try:
                    with open(f"{directory}/{name}", encoding="utf-8") as file:
                        if file.read().strip() == frozen:
                            return True
                except OSError:
                    pass
        return False

    @property
    def manager(self) -> Manager:
        if not self.cgroup:
            from sampan.runtime.no_cgroup import NoCgroup

            return NoCgroup("it was made without one")
        return cgroup.manager(self.cgroup)

    @property
    def config(self) -> oci_runtime.Config:
        with open(f"{self.directory}/config.json", encoding="utf-8") as file:
            return oci_runtime.parse(json.loads(file.read()))

    def document(self) -> dict[str, Any]:
        """The state document of the specification, with runc's additions."""
        status = self.status
        return {
            "ociVersion": oci_runtime.VERSION,
            "id": self.id,
            "pid": 0 if status == "stopped" else self.pid,
            "status": status,
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            **({"annotations": self.annotations} if self.annotations else {}),
            "owner": _owner(self.directory),
        }

    def signal(self, number: int) -> None:
        """By pidfd, after a second look at the start time: never to another process."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            raise errors.WrongState("container not running") from None
        try:
            if start_time(self.pid) == self.start_time:
                signals.send(pidfd, number)
        finally:
            os.close(pidfd)


def _owner(directory: str) -> str:
    import pwd

    try:
        return pwd.getpwuid(os.stat(directory).st_uid).pw_name
    except (OSError, KeyError):  # being deleted, or a user without a name
        return ""


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat; 0 for a process that is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def check_id(container_id: str) -> None:
    if container_id in ("", ".", "..") or not set(container_id) <= _ID_CHARACTERS:
        raise errors.InvalidConfig(f"invalid container id {container_id!r}")


def reserve(root: str, container_id: str, config: str) -> str:
    """The container's new directory, with the text of its config; raises ContainerExists."""
    check_id(container_id)
    os.makedirs(root, 0o711, exist_ok=True)
    directory = f"{root}/{container_id}"
    try:
        os.mkdir(directory, 0o711)
    except FileExistsError:
        raise errors.ContainerExists(container_id) from None
    with open(f"{directory}/config.json", "w", encoding="utf-8") as file:
        file.write(config)
    return directory


def save(container: Container) -> None:
    temporary = f"{container.directory}/.state.json"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    values = {k: v for k, v in container.__dict__.items() if k != "directory"}
    os.write(fd, json.dumps(values).encode())
    os.close(fd)
    os.rename(temporary, f"{container.directory}/state.json")


def load(root: str, container_id: str) -> Container:
    """Raises ContainerNotFound."""
    check_id(container_id)
    directory = f"{root}/{container_id}"
    try:
        with open(f"{directory}/state.json", encoding="utf-8") as file:
            return Container(**json.loads(file.read()), directory=directory)
    except FileNotFoundError:
        raise errors.ContainerNotFound(container_id) from None


def remove(directory: str) -> None:
    if os.path.isdir(f"{directory}/notify"):
        from sampan.runtime import notify

        notify.remove(directory)
    for name in ("start.sock", "config.json", ".state.json", "state.json"):
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            pass
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        pass
