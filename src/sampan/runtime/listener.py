"""Hand a seccomp filter's notifications to the agent that config.json names.

https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md, containerprocessstate.
The child has loaded its filter and waits; the caller fetches the descriptor out of it, for only
the caller sees the host's path, and tells the agent which process it belongs to.
"""

from __future__ import annotations

import os
import socket

from sampan.kit import json
from sampan.linux import process
from sampan.runtime import channel, errors
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check(profile: dict[str, Any]) -> tuple[str, str] | None:
    """(path of the agent's socket, metadata) where the profile notifies at all."""
    place = "linux.seccomp"
    path, metadata = profile.get("listenerPath") or "", profile.get("listenerMetadata") or ""
    if metadata and not path:
        raise errors.InvalidConfig(f"{place}.listenerMetadata is set without a listenerPath")
    if profile.get("defaultAction") == "SCMP_ACT_NOTIFY":
        raise errors.InvalidConfig(f"{place}.defaultAction: SCMP_ACT_NOTIFY cannot be the default")
    names = [
        name
        for entry in profile.get("syscalls") or ()
        if entry.get("action") == "SCMP_ACT_NOTIFY"
        for name in entry.get("names") or ()
    ]
    if not names:
        return None
    if not path:
        raise errors.InvalidConfig(f"{place}.listenerPath must be set for SCMP_ACT_NOTIFY")
    if "write" in names:  # how the child says which descriptor is to be fetched
        raise errors.InvalidConfig(f"{place}: SCMP_ACT_NOTIFY cannot be used for the write syscall")
    return path, metadata


def hand_over(agent: tuple[str, str], pid: int, pidfd: int, fd: int, state: dict[str, Any]) -> None:
    path, metadata = agent
    document: dict[str, Any] = {
        "ociVersion": oci_runtime.VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "state": state,
    }
    if metadata:
        document["metadata"] = metadata
    ours = process.pidfd_getfd(pidfd, fd)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
        channel.send_descriptor(sock.fileno(), json.dumps(document), ours)
    except OSError as error:
        raise errors.InvalidConfig(
            f"linux.seccomp.listenerPath: failed to connect with seccomp agent {path}: "
            f"{errors.reason(error)}"
        ) from error
    finally:
        sock.close()
        os.close(ours)
