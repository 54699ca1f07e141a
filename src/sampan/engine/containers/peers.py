"""The containers that another one's modes name, and what of theirs it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import runtimes, user_namespaces
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


def pids(container: Container) -> dict[str, int]:
    """PID 1 of each container that a mode names."""
    found = {}
    for key in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "CgroupnsMode"):
        mode = container.host_config.get(key) or ""
        if mode.startswith("container:"):
            name = mode.partition(":")[2]
            peer = container.engine.containers.get(name)
            if not peer.running:
                raise errors.Conflict(
                    f"cannot join network namespace of a non running container: {name}"
                    if key == "NetworkMode"
                    else f"cannot join {key} of a non running container: {name}"
                )
            if user_namespaces.of(container) and not user_namespaces.of(peer):
                raise errors.Conflict(
                    f"cannot join {key} of {name}: it is in the host's user namespace, so this "
                    "container must be, too (--userns=host)"
                )
            if key == "IpcMode" and peer.host_config.get("IpcMode") in ("private", "none"):
                raise errors.Conflict(
                    f"cannot join {key} of {name}: non-shareable IPC (hint: use IpcMode:shareable "
                    "for the donor container)"
                )
            found[name] = peer.pid
    return found


def shm(container: Container, joined: dict[str, int]) -> str:
    """The /dev/shm that goes with a joined IPC namespace, in its owner's mount namespace.

    "" for one of its own. Runtimes other than ours mount nothing from another mount namespace.
    """
    kind, _, name = (container.host_config.get("IpcMode") or "").partition(":")
    if kind != "container" or runtimes.words(container):
        return ""
    return f"/proc/{joined[name]}/root/dev/shm"
