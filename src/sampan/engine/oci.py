"""Docker's Config and HostConfig as an OCI config.json.

    document = oci.build(container, surroundings)

Pure: what has to be looked up first (the user's numbers, other containers' processes, the files
mounted over /etc) comes in as `Surroundings`. The parts that make up most of it stand beside
this file: `oci_mounts`, `oci_resources`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from sampan.engine import apparmor, oci_mounts, oci_resources, security_options, units
from sampan.engine.users import Identity
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import process
from sampan.spec import docker_defaults, docker_seccomp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.containers.container import Container
    from sampan.engine.user_namespaces import Remap

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STOP_TIMEOUT = 10  # seconds, Docker's; -1 is for ever
_FLAG_NAMESPACES = {  # HostConfig's key → the namespace, and whether it is private by default
    "PidMode": ("pid", True),
    "IpcMode": ("ipc", True),
    "UTSMode": ("uts", True),
    "CgroupnsMode": ("cgroup", True),
}


class Surroundings(Record):
    """What `build` cannot know by itself."""

    identity: Identity = Identity()
    root_path: str = ""
    files: tuple[tuple[str, str], ...] = ()  # (source on the host, /etc/hosts …)
    peers: dict[str, int] = {}  # container named by a mode → its PID 1
    shm: str = ""  # what it shows at /dev/shm, where that is another container's
    remap: Remap | None = None  # of user ids
    apparmor: str = ""  # the profile, "" on a host without AppArmor
    links: tuple[str, ...] = ()  # variables that tell about linked containers


def build(container: Container, around: Surroundings) -> dict[str, Any]:
    config, host = container.config, container.host_config
    privileged = bool(host.get("Privileged"))
    options = security_options.parse(host)
    capabilities = effective_capabilities(host)
    linux: dict[str, Any] = {
        "namespaces": _namespaces(host, around),
        "resources": oci_resources.resources(host, privileged=privileged),
        "cgroupsPath": container.cgroup,
        "devices": oci_resources.devices(host),
        "sysctl": {**_default_sysctls(host, around.remap), **(host.get("Sysctls") or {})},
    }
    if around.remap and {"type": "user"} in linux["namespaces"]:
        linux["uidMappings"] = around.remap.uid_mappings()
        linux["gidMappings"] = around.remap.gid_mappings()
    if not privileged:
        unmasked = options.get("systempaths") == "unconfined"
        for key, paths, default in (
            ("maskedPaths", host.get("MaskedPaths"), docker_defaults.MASKED_PATHS),
            ("readonlyPaths", host.get("ReadonlyPaths"), docker_defaults.READONLY_PATHS),
        ):
            linux[key] = [] if unmasked else list(default if paths is None else paths)
    if seccomp := _seccomp(options, capabilities, privileged=privileged):
        linux["seccomp"] = seccomp
    document: dict[str, Any] = {
        "ociVersion": "1.2.1",
        "process": _process(container, around, capabilities, options),
        "root": {"path": around.root_path, "readonly": bool(host.get("ReadonlyRootfs"))},
        "mounts": oci_mounts.mounts(
            container, around.files, mapped=around.remap is not None, shm=around.shm
        ),
        "linux": linux,
    }
    if propagation := oci_mounts.propagation(document["mounts"]):
        linux["rootfsPropagation"] = propagation
    if "uts" in {n["type"] for n in linux["namespaces"]} and not _joins(host.get("UTSMode")):
        document["hostname"] = config.get("Hostname") or container.id[:12]
        if config.get("Domainname"):
            document["domainname"] = config["Domainname"]
    return document


# ---- the process


def command(config: dict[str, Any]) -> list[str]:
    return [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]


def environment(
    config: dict[str, Any], home: str, links: Iterable[str] = (), others: Iterable[str] = ()
) -> list[str]:
    """Docker's: PATH, HOSTNAME, TERM with a terminal, links, the user's, HOME if none is set."""
    first = [PATH, f"HOSTNAME={config.get('Hostname') or ''}"]
    if config.get("Tty"):
        first.append("TERM=xterm")
    first += links
    merged: dict[str, str] = {}
    for text in [*first, *(config.get("Env") or ()), *others]:
        merged[text.partition("=")[0]] = text
    merged.setdefault("HOME", f"HOME={home}")
    return [text for text in merged.values() if "=" in text]


def _process(
    container: Container, around: Surroundings, capabilities: list[str], options: dict[str, str]
) -> dict[str, Any]:
    config, host, identity = container.config, container.host_config, around.identity
    process: dict[str, Any] = {
        "terminal": container.tty,
        "user": user(identity),
        "args": command(config),
        "env": environment(config, identity.home, around.links, container.variables),
        "cwd": config.get("WorkingDir") or "/",
        "capabilities": capability_sets(capabilities, identity.uid),
        "rlimits": rlimits(host.get("Ulimits") or ()),
        "noNewPrivileges": options.get("no-new-privileges", "false") == "true",
        **apparmor.process(around.apparmor),
    }
    if host.get("OomScoreAdj"):
        process["oomScoreAdj"] = host["OomScoreAdj"]
    rows, columns = host.get("ConsoleSize") or (0, 0)
    if rows and columns:
        process["consoleSize"] = {"height": rows, "width": columns}
    return process


def user(identity: Identity) -> dict[str, Any]:
    return {
        "uid": identity.uid,
        "gid": identity.gid,
        "additionalGids": list(dict.fromkeys((identity.gid, *identity.groups))),
    }


def capability_sets(capabilities: list[str], uid: int) -> dict[str, list[str]]:
    """A process that is not root gets them only as a bound, for set-uid programs."""
    held = capabilities if uid == 0 else []
    return {"bounding": capabilities, "effective": held, "permitted": held}


def rlimits(limits: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": f"RLIMIT_{limit['Name'].upper()}",
            "soft": limit["Soft"] % 2**64,  # -1: unlimited
            "hard": limit["Hard"] % 2**64,
        }
        for limit in limits
    ]


def check(host: dict[str, Any]) -> None:
    """Refuse what no container could be started with."""
    capabilities = effective_capabilities(host)
    _seccomp(security_options.parse(host), capabilities, privileged=True)
    score = host.get("OomScoreAdj") or 0
    if not -1000 <= score <= 1000:
        raise errors.InvalidArgument(
            f"Invalid value {score}, range for oom score adj is [-1000, 1000]"
        )
    if len(host.get("ConsoleSize") or (0, 0)) != 2:
        raise errors.InvalidArgument("HostConfig.ConsoleSize must be [height, width]")
    for limit in rlimits(host.get("Ulimits") or ()):
        if limit["type"] not in process.RLIMITS:
            name = limit["type"].removeprefix("RLIMIT_").lower()
            raise errors.InvalidArgument(f"invalid ulimit type: {name}")
        if limit["soft"] > limit["hard"]:
            raise errors.InvalidArgument(
                "ulimit soft limit must be less than or equal to hard limit: "
                f"{limit['soft']} > {limit['hard']}"
            )


def effective_capabilities(host: dict[str, Any]) -> list[str]:
    """Docker's set with `CapAdd` and `CapDrop` (ALL included) over it."""
    known = docker_defaults.ALL_CAPABILITIES
    if host.get("Privileged"):
        return list(known)
    add, drop = _capabilities(host.get("CapAdd")), _capabilities(host.get("CapDrop"))
    if "ALL" in add:
        return [c for c in known if c not in drop]
    base = [] if "ALL" in drop else [c for c in docker_defaults.CAPABILITIES if c not in drop]
    return base + [c for c in known if c in add and c not in base]


def _capabilities(names: Any) -> set[str]:
    found = set()
    for name in names or ():
        upper = name.upper()
        full = upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"
        if full != "ALL" and full not in docker_defaults.ALL_CAPABILITIES:
            raise errors.InvalidArgument(f'invalid capability: unknown capability: "{full}"')
        found.add(full)
    return found


# ---- security


def _seccomp(
    options: dict[str, str], capabilities: list[str], *, privileged: bool
) -> dict[str, Any]:
    """The profile for these capabilities; clients send a file's content, not its name. Who is
    privileged has one only where it was asked for."""
    chosen = options.get("seccomp", "unconfined" if privileged else "builtin")
    if chosen == "unconfined":
        return {}
    if chosen in ("builtin", "default"):
        return docker_seccomp.profile(capabilities, os.uname().machine)
    try:
        profile = json.loads(chosen)
    except ValueError as error:
        raise errors.InvalidArgument(f"Decoding seccomp profile failed: {error}") from error
    return docker_seccomp.resolve(profile, capabilities, os.uname().machine)


# ---- namespaces


def _joins(mode: str | None) -> bool:
    return bool(mode) and str(mode).startswith("container:")


def _namespaces(host: dict[str, Any], around: Surroundings) -> list[dict[str, str]]:
    peers = around.peers
    found = [{"type": "mount"}]
    for key, (kind, _) in _FLAG_NAMESPACES.items():
        mode = host.get(key) or ""
        if mode == "host":
            continue
        if _joins(mode):
            pid = peers[mode.partition(":")[2]]
            found.append({"type": kind, "path": f"/proc/{pid}/ns/{kind}"})
        else:
            found.append({"type": kind})
    mode = host.get("NetworkMode") or "bridge"
    if _joins(mode):
        pid = peers[mode.partition(":")[2]]
        found.append({"type": "network", "path": f"/proc/{pid}/ns/net"})
    elif mode != "host":
        found.append({"type": "network"})
    if around.remap is not None:
        # A namespace can be joined only from the user namespace that owns it.
        joined = [item["path"] for item in found if "path" in item]
        owner = {"path": f"{os.path.dirname(joined[0])}/user"} if joined else {}
        found.append({"type": "user", **owner})
    return found


def _default_sysctls(host: dict[str, Any], remap: Remap | None) -> dict[str, str]:
    """Low ports and ping for everybody, as Docker since 20.10; only in a netns of its own."""
    mode = host.get("NetworkMode") or "bridge"
    if mode == "host" or _joins(mode):
        return {}
    ports = {"net.ipv4.ip_unprivileged_port_start": "0"}
    if remap is not None:
        return ports  # most groups of that range do not exist in there
    return {**ports, "net.ipv4.ping_group_range": "0 2147483647"}


def stop_signal(config: dict[str, Any]) -> int:
    return units.signal_number(config.get("StopSignal"))
