"""How the host runs it: `HostConfig` of the body that `create_body` puts together."""

from __future__ import annotations

from sampan.cli import endpoint_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments

    Body = dict[str, Any]


def build(args: Arguments) -> Body:
    """The HostConfig."""
    binds = [bind for bind, has_source in args["volume"] if has_source]
    return {
        **_resources(args),
        **_security(args),
        **({"Mounts": args["mount"]} if args["mount"] else {}),
        **({"Tmpfs": _tmpfs(args)} if args["tmpfs"] else {}),
        **({"Sysctls": args["sysctl"]} if args["sysctl"] else {}),
        **({"StorageOpt": _storage_options(args)} if args["storage-opt"] else {}),
        **({"Annotations": args["annotation"]} if args["annotation"] else {}),
        **({"Init": args["init"]} if args.given("init") else {}),
        **({"Runtime": args["runtime"]} if args["runtime"] else {}),
        "AutoRemove": args["rm"],
        "Binds": list(dict.fromkeys(binds)) or None,
        "ConsoleSize": [0, 0],
        "ContainerIDFile": args["cidfile"],
        "Dns": args["dns"],
        "DnsOptions": args["dns-option"],
        "DnsSearch": args["dns-search"],
        "ExtraHosts": args["add-host"] or None,
        "Links": args["link"] or None,
        "LogConfig": {"Type": args["log-driver"], "Config": _log_options(args)},
        "NetworkMode": endpoint_body.network_mode(args),
        "PortBindings": _bindings(args),
        "PublishAllPorts": args["publish-all"],
        "RestartPolicy": args["restart"] or {"Name": "no", "MaximumRetryCount": 0},
        "VolumeDriver": args["volume-driver"],
        "VolumesFrom": args["volumes-from"] or None,
        "Isolation": args["isolation"],
        "CpuCount": args["cpu-count"],
        "CpuPercent": args["cpu-percent"],
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _resources(args: Arguments) -> Body:
    devices = [device for device in args["device"] if isinstance(device, dict)]
    cdi = [device for device in args["device"] if isinstance(device, str)]
    requests = list(args["gpus"])
    if cdi:
        requests.append(
            {
                "Driver": "cdi",
                "Count": 0,
                "DeviceIDs": cdi,
                "Capabilities": None,
                "Options": None,
            }
        )
    return {
        "CgroupParent": args["cgroup-parent"],
        "CpuShares": args["cpu-shares"],
        "Memory": args["memory"],
        "NanoCpus": args["cpus"],
        "BlkioWeight": args["blkio-weight"],
        "BlkioWeightDevice": [
            {"Path": path, "Weight": weight} for path, weight in args["blkio-weight-device"]
        ],
        "BlkioDeviceReadBps": _throttle(args, "device-read-bps"),
        "BlkioDeviceWriteBps": _throttle(args, "device-write-bps"),
        "BlkioDeviceReadIOps": _throttle(args, "device-read-iops"),
        "BlkioDeviceWriteIOps": _throttle(args, "device-write-iops"),
        "CpuPeriod": args["cpu-period"],
        "CpuQuota": args["cpu-quota"],
        "CpuRealtimePeriod": args["cpu-rt-period"],
        "CpuRealtimeRuntime": args["cpu-rt-runtime"],
        "CpusetCpus": args["cpuset-cpus"],
        "CpusetMems": args["cpuset-mems"],
        "Devices": devices,
        "DeviceCgroupRules": args["device-cgroup-rule"] or None,
        "DeviceRequests": requests or None,
        "MemoryReservation": args["memory-reservation"],
        "MemorySwap": args["memory-swap"],
        "MemorySwappiness": args["memory-swappiness"],
        "OomKillDisable": args["oom-kill-disable"],
        "PidsLimit": args["pids-limit"],
        "Ulimits": list({limit["Name"]: limit for limit in args["ulimit"]}.values()),
        **({"KernelMemory": args["kernel-memory"]} if args["kernel-memory"] else {}),
    }


def _security(args: Arguments) -> Body:
    options, masked, readonly = _security_options(args)
    return {
        "CapAdd": _capabilities(args["cap-add"]),
        "CapDrop": _capabilities(args["cap-drop"]),
        "Cgroup": "",
        "CgroupnsMode": args["cgroupns"],
        "GroupAdd": args["group-add"] or None,
        "IpcMode": args["ipc"],
        "MaskedPaths": masked,
        "OomScoreAdj": args["oom-score-adj"],
        "PidMode": args["pid"],
        "Privileged": args["privileged"],
        "ReadonlyPaths": readonly,
        "ReadonlyRootfs": args["read-only"],
        "SecurityOpt": options or None,
        "ShmSize": args["shm-size"],
        "UTSMode": args["uts"],
        "UsernsMode": args["userns"],
    }


def _capabilities(names: list[str]) -> list[str] | None:
    """`net_admin` as the API has it, `CAP_NET_ADMIN`; each once."""
    upper = [name.upper().removeprefix("CAP_") for name in names]
    return list(dict.fromkeys(n if n == "ALL" else f"CAP_{n}" for n in upper)) or None


def _security_options(args: Arguments) -> tuple[list[str], list[str] | None, list[str] | None]:
    """Options for the engine, masked and read-only paths; a seccomp file is read here."""
    options, unmask = [], False
    for entry in args["security-opt"]:
        if entry == "systempaths=unconfined":
            unmask = True
            continue
        key, separator, value = entry.partition("=" if "=" in entry else ":")
        if not separator and key != "no-new-privileges":
            raise args.fail(f'Invalid --security-opt: "{entry}"')
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            entry = f"seccomp={_seccomp_profile(args, value)}"
        options.append(entry)
    return options, [] if unmask else None, [] if unmask else None


def _seccomp_profile(args: Arguments, path: str) -> str:
    import json

    try:
        with open(path, "rb") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"opening seccomp profile ({path}) failed: open {path}: {reason}"
        raise args.fail(message) from error
    except ValueError as error:
        message = f"compacting json for seccomp profile ({path}) failed: {error}"
        raise args.fail(message) from error


def _throttle(args: Arguments, name: str) -> list[Body]:
    return [{"Path": path, "Rate": rate} for path, rate in args[name]]


def _tmpfs(args: Arguments) -> dict[str, str]:
    found = {}
    for entry in args["tmpfs"]:
        path, _, options = entry.partition(":")
        found[path] = options
    return found


def _storage_options(args: Arguments) -> dict[str, str]:
    found = {}
    for entry in args["storage-opt"]:
        key, equals, value = entry.partition("=")
        if not equals:
            raise args.fail("invalid storage option")
        found[key] = value
    return found


def _log_options(args: Arguments) -> dict[str, str]:
    if args["log-driver"] == "none" and args["log-opt"]:
        raise args.fail("invalid logging opts for driver none")
    options = {}
    for entry in args["log-opt"]:
        key, _, value = entry.partition("=")
        options[key] = value
    return options


def _bindings(args: Arguments) -> dict[str, list[Body]]:
    bindings: dict[str, list[Body]] = {}
    for group in args["publish"]:
        for published in group:
            binding = {"HostIp": published.host_ip, "HostPort": published.host_port}
            bindings.setdefault(published.port, []).append(binding)
    return bindings
