"""What a container is asked to be, refused with Docker's words where it can never work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.engine import (
    cgroups,
    oci,
    policies,
    published_ports,
    runtimes,
    security_options,
    sized_layers,
    units,
    user_namespaces,
)
from sampan.engine.containers import log_config, mounts
from sampan.kit import errors
from sampan.runtime import tuning

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

MINIMUM_MEMORY = 6 << 20
MODES = {  # of its namespaces: what it is called in Docker's words, and what it may be
    "IpcMode": ("IPC", ("", "none", "private", "shareable", "host")),
    "PidMode": ("PID", ("", "host")),
    "UTSMode": ("UTS", ("", "host")),
    "CgroupnsMode": ("cgroup namespace", ("", "private", "host")),
}
JOINING = ("NetworkMode", "PidMode", "IpcMode")
RESTART_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def check(engine: Engine, config: dict[str, Any], host: dict[str, Any]) -> None:
    """Refuse what can never work, with Docker's words."""
    if not (config.get("Entrypoint") or config.get("Cmd")):
        raise errors.InvalidArgument("no command specified")
    if config.get("StopSignal"):
        units.signal_number(config["StopSignal"])
    directory = config.get("WorkingDir") or ""
    if directory and not directory.startswith("/"):
        raise errors.InvalidArgument(
            f"the working directory '{directory}' is invalid, it needs to be an absolute path"
        )
    for text in config.get("ExposedPorts") or ():
        units.port(text)
    published_ports.wanted(config, host)
    check_limits(host)
    cgroups.check_parent(engine.cgroup_driver, host.get("CgroupParent") or "")
    _check_health(config.get("Healthcheck") or {})
    oci.check(host)
    _check_modes(engine, host)
    if "" in (host.get("Annotations") or {}):
        raise errors.InvalidArgument(
            "invalid Annotations: the empty string is not permitted as an annotation key"
        )
    log_config.check(host)
    policies.check(config, host)
    mounts.validate(host)


def check_joined(config: dict[str, Any], host: dict[str, Any]) -> None:
    """`--network container:NAME` and `--uts host`: what is not ours to decide then; `config` is
    the user's."""
    if host.get("UTSMode") == "host" and config.get("Hostname"):
        raise errors.InvalidArgument("conflicting options: hostname and the UTS mode")
    mode = host.get("NetworkMode") or ""
    if mode in ("container", "container:"):
        raise errors.InvalidArgument("invalid container format container:<name|id>")
    if mode == "host":
        if host.get("Links"):
            raise errors.InvalidArgument(
                "conflicting options: host type networking can't be used with links. This would "
                "result in undefined behavior"
            )
        if config.get("MacAddress"):
            raise errors.InvalidArgument("conflicting options: mac-address and the network mode")
    if not mode.startswith("container:"):
        return
    for given, what in (
        (config.get("MacAddress"), "mac-address and the network mode"),
        (config.get("Hostname"), "hostname and the network mode"),
        (
            host.get("Links"),
            "container type network can't be used with links. This would result in undefined "
            "behavior",
        ),
        (host.get("Dns"), "dns and the network mode"),
        (host.get("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
        (
            host.get("PortBindings") or host.get("PublishAllPorts"),
            "port publishing and the container type network mode",
        ),
        (config.get("ExposedPorts"), "port exposing and the container type network mode"),
    ):
        if given:
            raise errors.InvalidArgument(f"conflicting options: {what}")


def check_limits(host: dict[str, Any]) -> None:
    """Restart policy and resources, which `update` may change too."""
    _check_policy(host)
    _check_resources(host)


def _check_policy(host: dict[str, Any]) -> None:
    policy = host.get("RestartPolicy") or {}
    name, count = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
    if name not in RESTART_POLICIES:
        raise errors.InvalidArgument(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'"
        )
    if count and name != "on-failure":
        raise errors.InvalidArgument(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if count < 0:
        raise errors.InvalidArgument(
            "invalid restart policy: maximum retry count cannot be negative"
        )
    if host.get("AutoRemove") and name not in ("", "no"):
        raise errors.InvalidArgument("can't create 'AutoRemove' container with restart policy")


def _check_memory(host: dict[str, Any]) -> None:
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if memory and memory < MINIMUM_MEMORY:
        raise errors.InvalidArgument("Minimum memory limit allowed is 6MB")
    if 0 < (host.get("MemoryReservation") or 0) < MINIMUM_MEMORY:
        raise errors.InvalidArgument("Minimum memory reservation allowed is 6MB")
    if swap > 0 and not memory:
        raise errors.InvalidArgument(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if memory and 0 < swap < memory:
        raise errors.InvalidArgument(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if host.get("MemoryReservation") and memory and host["MemoryReservation"] > memory:
        raise errors.InvalidArgument(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )


def _check_resources(host: dict[str, Any]) -> None:
    _check_memory(host)
    cpus = (host.get("NanoCpus") or 0) / 1e9
    if cpus and (host.get("CpuPeriod") or host.get("CpuQuota")):
        raise errors.InvalidArgument(
            "Conflicting options: Nano CPUs and CPU Period cannot both be set"
        )
    available = os.cpu_count() or 1
    if cpus < 0 or cpus > available:
        raise errors.InvalidArgument(
            f"range of CPUs is from 0.01 to {available:.2f}, as there are only {available} "
            "CPUs available"
        )
    if (period := host.get("CpuPeriod") or 0) and not 1000 <= period <= 1_000_000:
        raise errors.InvalidArgument(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < (host.get("CpuQuota") or 0) < 1000:
        raise errors.InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (host.get("ShmSize") or 0) < 0:
        raise errors.InvalidArgument("SHM size can not be less than 0")
    _check_set(host.get("CpusetCpus") or "", "cpuset cpus", "CPUs", "cpu")
    _check_set(host.get("CpusetMems") or "", "cpuset mems", "memory nodes", "node")
    _check_weights(host)


def _check_weights(host: dict[str, Any]) -> None:
    if (shares := host.get("CpuShares") or 0) < 0:
        raise errors.InvalidArgument(
            f"invalid CPU shares ({shares}): value must be a positive integer"
        )
    on_devices = [item["Weight"] for item in host.get("BlkioWeightDevice") or ()]
    for weight in (host.get("BlkioWeight") or 0, *on_devices):
        if weight and not 10 <= weight <= 1000:
            raise errors.InvalidArgument(f"blkio weight: {weight} is not between 10 and 1000")


def _check_set(text: str, option: str, what: str, kind: str) -> None:
    """A list of CPUs or memory nodes, all of which this host has (sysfs, ABI/stable)."""
    if not text:
        return
    try:
        wanted = tuning.parse_list(text, option, 8192)
    except errors.InvalidArgument:
        raise errors.InvalidArgument(
            f"Invalid value {text} for {option}: invalid format: {text}"
        ) from None
    available = Path(f"/sys/devices/system/{kind}/online").read_text().strip()
    if not wanted <= tuning.parse_list(available, option, 8192):
        raise errors.InvalidArgument(
            f"Requested {what} are not available - requested {text}, available: {available}"
        )


def _check_health(health: dict[str, Any]) -> None:
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        value = health.get(key) or 0
        if value and value < 1_000_000:
            raise errors.InvalidArgument(f"{key} in Healthcheck cannot be less than 1ms")
    if (health.get("Retries") or 0) < 0:
        raise errors.InvalidArgument("Retries in Healthcheck cannot be negative")


def _check_modes(engine: Engine, host: dict[str, Any]) -> None:
    for key, (what, known) in MODES.items():
        mode = host.get(key) or ""
        joins = key in JOINING and mode.startswith("container:") and mode != "container:"
        if mode not in known and not joins:
            raise errors.InvalidArgument(f"invalid {what} mode: {mode}")
    for key in JOINING:
        mode = host.get(key) or ""
        if mode.startswith("container:"):
            try:
                engine.containers.get(mode.partition(":")[2])
            except errors.NotFound as error:  # 404 would mean the image
                raise errors.InvalidArgument(str(error)) from error
    if (host.get("Isolation") or "default").lower() != "default":
        raise errors.InvalidArgument(f"invalid isolation '{host['Isolation']}' on linux")
    own = runtimes.is_own(engine.settings, host.get("Runtime") or "")
    sized_layers.wanted(engine, host)
    user_namespaces.check(engine.remap, host, own_runtime=own)
    security_options.check(host)
