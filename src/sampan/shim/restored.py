"""A container that goes on from a checkpoint, by criu; in the monitor's helper.

    config = prepare(request, streams)                   its namespaces for mounts and network
    …                                                    the engine sets up the network
    process = bring_back(request, config, streams, cgroup)

Its processes become children of the monitor at once, not by way of the helper's end: criu gives
them back the signal that their parent's death sends (PR_SET_PDEATHSIG), which would be the
helper's. They run before the monitor has said so; what they say meanwhile waits in the pipes.
"""

from __future__ import annotations

import os

from sampan.kit import errors
from sampan.linux import namespaces, netns, process
from sampan.linux.namespaces import CLONE
from sampan.runtime import cgroups, checkpoint, create, restore, rootfs
from sampan.shim import enter
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.shim.protocol import Start
    from sampan.shim.stdio import Streams


class Process:
    """What `runtime.create.Created` is for a new container; this one runs already."""

    def __init__(self, pid: int, pidfd: int, manager: Manager) -> None:
        self.pid, self.pidfd, self.manager = pid, pidfd, manager
        self.state: dict[str, Any] = {}
        self.callers_parents = True
        self._ready = os.eventfd(1)

    def fileno(self) -> int:
        return self._ready

    def start(self) -> None: ...

    def abort(self) -> None:
        """Kill it and undo everything; may be called more than once."""
        if self.pidfd < 0:
            return
        process.end(self.pidfd)
        self.pidfd = -1
        self.manager.kill()
        self.manager.delete()


def prepare(request: Start, streams: Streams) -> oci_runtime.Config:
    """Be in mount and network namespaces of the container's, and have its streams as our own."""
    config = oci_runtime.parse(_with_our_network(request.config))
    if any(item.type == "user" for item in config.linux.namespaces):
        raise errors.Unsupported("a container in a user namespace cannot be restored")
    namespaces.unshare(CLONE.NEWNS)
    rootfs.keep_from_host(request.root_path)
    enter.mount_rootfs(request.rootfs, request.root_path)
    for number, fd in enumerate(streams.theirs or ()):
        os.dup2(fd, number)
    return config


def _with_our_network(document: dict[str, Any]) -> dict[str, Any]:
    """A network namespace of its own is made here and joined by what is restored."""
    items = [dict(item) for item in document["linux"]["namespaces"]]
    for item in items:
        if item["type"] == "network" and not item.get("path"):
            namespaces.unshare(CLONE.NEWNET)
            netns.loopback_up()
            item["path"] = f"/proc/{os.getpid()}/ns/net"
    return {**document, "linux": {**document["linux"], "namespaces": items}}


def bring_back(
    request: Start, config: oci_runtime.Config, streams: Streams, manager: Manager
) -> Process:
    cgroups.check_unused(manager)
    manager.create()
    try:
        manager.apply(create.resources(config))
        pid = restore.bring_back(
            config,
            checkpoint.Options(image_path=request.restore, work_path=request.run),
            container_id=request.id,
            root=request.root_path,
            bundle=request.bundle,
            manager=manager,
            console=streams.console_socket,
            program=request.criu,
        )
        return Process(pid, os.pidfd_open(pid), manager)
    except BaseException:
        manager.kill()
        manager.delete()
        raise
