"""`spec`: a config.json to begin with, and `features`: what this runtime can do."""

from __future__ import annotations

import os

from sampan.linux import capabilities, libseccomp, namespaces, scheduling, seccomp
from sampan.linux.cgroup import host
from sampan.runtime import options
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats")
_READONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


def example() -> dict[str, Any]:
    """A shell in a terminal, with few capabilities and a read-only root.

    A cgroup namespace of its own only where all of the host is v2, as runc has it: on v1 programs
    inside (and runc's users) look for the whole path in /proc/self/cgroup.
    """
    kinds = ["pid", "network", "ipc", "uts", "mount"]
    if not host.layout().v1:
        kinds.append("cgroup")
    safe = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": oci_runtime.VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "sampan",
        "mounts": [
            _mount("/proc", "proc", []),
            _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            _mount(
                "/dev/pts",
                "devpts",
                ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            ),
            _mount("/dev/shm", "tmpfs", [*safe, "mode=1777", "size=65536k"], "shm"),
            _mount("/dev/mqueue", "mqueue", safe),
            _mount("/sys", "sysfs", [*safe, "ro"]),
            _mount("/sys/fs/cgroup", "cgroup", [*safe, "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": [*(f"/proc/{name}" for name in _MASKED), "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": [f"/proc/{name}" for name in _READONLY],
        },
    }


def rootless_example() -> dict[str, Any]:
    """The same for a user who is not root: a user namespace, no cgroup, no network of its own."""
    document = example()
    linux = document["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "network"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    del linux["resources"]
    for mount in document["mounts"]:
        mount["options"] = [o for o in mount.get("options", ()) if o != "gid=5"]
        if mount["destination"] == "/sys":  # sysfs belongs to the network namespace
            mount.update(type="none", source="/sys")
            mount["options"] = ["rbind", "nosuid", "noexec", "nodev", "ro"]
    document["mounts"] = [m for m in document["mounts"] if m["destination"] != "/sys/fs/cgroup"]
    return document


def _mount(destination: str, fstype: str, chosen: list[str], source: str = "") -> dict[str, Any]:
    mount = {"destination": destination, "type": fstype, "source": source or fstype}
    return {**mount, "options": chosen} if chosen else mount


def features() -> dict[str, Any]:
    """https://github.com/opencontainers/runtime-spec/blob/main/features.md"""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": oci_runtime.VERSION,
        "hooks": [
            *("prestart", "createRuntime", "createContainer"),
            *("startContainer", "poststart", "poststop"),
        ],
        "mountOptions": sorted({*options.NAMES}),
        "linux": {
            "namespaces": sorted(namespaces.FLAGS),
            "capabilities": list(capabilities.NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False},
            "seccomp": {
                "enabled": True,
                "actions": sorted(libseccomp.ACTIONS),
                "operators": sorted(libseccomp.OPERATORS),
                "archs": sorted(libseccomp.ARCHITECTURES),
                "knownFlags": sorted(seccomp.FLAGS),
                "supportedFlags": sorted(seccomp.FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "memoryPolicy": {
                "modes": sorted(scheduling.MEMORY_MODES),
                "flags": sorted(scheduling.MEMORY_FLAGS),
            },
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": _annotations(),
        "potentiallyUnsafeConfigAnnotations": [
            *("org.systemd.property.", "org.criu.config", "run.oci.keep_original_groups"),
        ],
    }


def _annotations() -> dict[str, str]:
    """Under the keys that callers of runc and crun look for."""
    found = {"org.opencontainers.runc.checkpoint.enabled": "true"}
    if version := libseccomp.version():
        found["io.github.seccomp.libseccomp.version"] = version
    return found
