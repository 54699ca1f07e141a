"""From the options of `run` and `create` to the body of `POST /containers/create`.

The body is word for word what Docker's CLI sends for the same options, defaults included;
`tests/conformance/test_cli_bodies.py` compares the two.
"""

from __future__ import annotations

from sampan.cli.parse import env_file
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments

    Body = dict[str, Any]

PREDEFINED = frozenset(("bridge", "host", "none", "default"))


def build(args: Arguments) -> Body:
    """The whole body. Raises UsageError where options contradict each other."""
    _check(args)
    body = _config(args)
    body["HostConfig"] = _host_config(args)
    body["NetworkingConfig"] = {"EndpointsConfig": _endpoints(args)}
    return body


def _check(args: Arguments) -> None:
    swappiness = args["memory-swappiness"]
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise args.fail(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    restart = args["restart"]
    if args["rm"] and restart and restart["Name"] != "no":
        raise args.fail("conflicting options: cannot specify both --restart and --rm")
    for name, what, known in (
        ("pid", "PID", ("host",)),
        ("uts", "UTS", ("host",)),
        ("userns", "USER", ("host",)),
        ("cgroupns", "CGROUP", ("host", "private")),
    ):
        mode = args[name]
        if mode and mode not in known and not (name == "pid" and mode.startswith("container:")):
            raise args.fail(f"--{name}: invalid {what} mode")
    if args["pull"] not in ("always", "missing", "never"):
        raise args.fail(
            f"invalid pull option: '{args['pull']}': must be one of "
            '"always", "missing" or "never"'
        )
    for stream in args["attach"]:
        if stream.lower() not in ("stdin", "stdout", "stderr"):
            raise args.fail(f"invalid argument {stream!r} for --attach: use stdin, stdout, stderr")


# --- what runs ---------------------------------------------------------------


def _config(args: Arguments) -> Body:
    attach = {stream.lower() for stream in args["attach"]}
    stdin = args["interactive"]
    if not attach and not args.given("attach"):
        attach = {"stdout", "stderr"} | ({"stdin"} if stdin else set())
    detached = "detach" in {o.name for o in args.command.options} and args["detach"]
    if detached:
        attach = set()
    entrypoint = args["entrypoint"]
    body: Body = {
        "Hostname": args["hostname"],
        "Domainname": args["domainname"],
        "User": args["user"],
        "AttachStdin": "stdin" in attach,
        "AttachStdout": "stdout" in attach,
        "AttachStderr": "stderr" in attach,
        "Tty": args["tty"],
        "OpenStdin": stdin,
        "StdinOnce": stdin and "stdin" in attach,
        "Env": _environment(args) or None,
        "Cmd": args.operands[1:] or None,
        "Image": args.operands[0],
        "Volumes": {path: {} for path, has_source in args["volume"] if not has_source},
        "WorkingDir": args["workdir"],
        "Entrypoint": [entrypoint] if args.given("entrypoint") else None,
        "OnBuild": None,
        "Labels": _labels(args),
    }
    ports = _exposed(args)
    if ports:
        body["ExposedPorts"] = ports
    if args.given("stop-signal"):
        body["StopSignal"] = args["stop-signal"]
    if args.given("stop-timeout"):
        body["StopTimeout"] = args["stop-timeout"]
    health = _health(args)
    if health is not None:
        body["Healthcheck"] = health
    return body


def _files(args: Arguments, option: str, *, lookup: bool) -> list[str]:
    found: list[str] = []
    for path in args[option]:
        try:
            found += env_file.read(path, lookup=lookup)
        except ValueError as error:
            raise args.fail(str(error)) from error
    return found


def _environment(args: Arguments) -> list[str]:
    return _files(args, "env-file", lookup=True) + env_file.resolve(args["env"])


def _labels(args: Arguments) -> dict[str, str]:
    labels = {}
    for entry in _files(args, "label-file", lookup=False) + args["label"]:
        key, _, value = entry.partition("=")
        labels[key] = value
    return labels


def _exposed(args: Arguments) -> dict[str, Any]:
    ports: dict[str, Any] = {published.port: {} for group in args["publish"] for published in group}
    ports.update((port, {}) for group in args["expose"] for port in group)
    return ports


def _health(args: Arguments) -> Body | None:
    names = ("cmd", "interval", "timeout", "start-period", "start-interval", "retries")
    given = [name for name in names if args[f"health-{name}"]]
    if args["no-healthcheck"]:
        if given:
            raise args.fail("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not given:
        return None
    if any(args[f"health-{name}"] < 0 for name in names[1:]):
        raise args.fail("the --health-* times and --health-retries cannot be negative")
    health: Body = {}
    if args["health-cmd"]:
        health["Test"] = ["CMD-SHELL", args["health-cmd"]]
    for key, name in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start-period"),
        ("StartInterval", "start-interval"),
        ("Retries", "retries"),
    ):
        if args[f"health-{name}"]:
            health[key] = args[f"health-{name}"]
    return health


# --- how the host runs it ----------------------------------------------------


def _host_config(args: Arguments) -> Body:
    binds = [bind for bind, has_source in args["volume"] if has_source]
    return {
        **_resources(args),
        **_security(args),
        **({"Mounts": args["mount"]} if args["mount"] else {}),
        **({"Tmpfs": _tmpfs(args)} if args["tmpfs"] else {}),
        **({"Sysctls": args["sysctl"]} if args["sysctl"] else {}),
        **({"StorageOpt": _pairs(args, "storage-opt")} if args["storage-opt"] else {}),
        **({"Annotations": args["annotation"]} if args["annotation"] else {}),
        **({"Init": args["init"]} if args.given("init") else {}),
        **({"Runtime": args["runtime"]} if args["runtime"] else {}),
        "AutoRemove": args["rm"],
        "Binds": binds or None,
        "ConsoleSize": [0, 0],
        "ContainerIDFile": args["cidfile"],
        "Dns": args["dns"],
        "DnsOptions": args["dns-option"],
        "DnsSearch": args["dns-search"],
        "ExtraHosts": args["add-host"] or None,
        "Links": args["link"] or None,
        "LogConfig": {"Type": args["log-driver"], "Config": _log_options(args)},
        "NetworkMode": network_mode(args),
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
        raise args.fail(f"opening seccomp profile ({path}) failed: {reason}") from error
    except ValueError as error:
        message = f"compacting json for seccomp profile ({path}) failed: {error}"
        raise args.fail(message) from error


def _throttle(args: Arguments, name: str) -> list[Body]:
    return [{"Path": path, "Rate": rate} for path, rate in args[name]]


def _tmpfs(args: Arguments) -> dict[str, str]:
    found = {}
    for entry in args["tmpfs"]:
        path, _, options = entry.partition(":")
        if not path.startswith("/"):
            raise args.fail(f"--tmpfs: {path!r} is not an absolute path")
        found[path] = options
    return found


def _pairs(args: Arguments, name: str) -> dict[str, str]:
    found = {}
    for entry in args[name]:
        key, equals, value = entry.partition("=")
        if not equals:
            raise args.fail(f"invalid --{name}: {entry!r} must be KEY=VALUE")
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


# --- where it is connected ---------------------------------------------------


def network_mode(args: Arguments) -> str:
    networks = args["network"]
    return networks[0].name if networks else "default"


def _endpoints(args: Arguments) -> dict[str, Body]:
    """An endpoint for each network; the plain options belong to the first."""
    from sampan.cli.parse import networks

    attachments = list(args["network"]) or [networks.Attachment(name="default")]
    names = [attachment.name for attachment in attachments]
    if len(names) > 1 and any(n in PREDEFINED - {"bridge"} or ":" in n for n in names):
        raise args.fail("conflicting options: cannot attach both user-defined and non-user-defined"
                        " network-modes")  # fmt: skip
    try:
        attachments[0] = _with_plain_options(args, attachments[0])
    except errors.InvalidArgument as error:
        raise args.fail(str(error)) from error
    if attachments == [networks.Attachment(name=names[0])] and _is_mode(names[0]):
        return {}
    endpoints: dict[str, Body] = {}
    for index, attachment in enumerate(attachments):
        if attachment.name in endpoints:
            message = f'network "{attachment.name}" is specified multiple times'
            raise args.fail(message)
        endpoints[attachment.name] = endpoint(attachment, links=args["link"] if not index else [])
    return endpoints


def _is_mode(name: str) -> bool:
    """A mode of having no network of one's own, rather than a network."""
    return name in ("bridge", "host", "none") or name.startswith("container:")


def _with_plain_options(args: Arguments, first: Any) -> Any:
    """`--network-alias`, `--ip`, … folded into the first network."""
    plain = {
        "aliases": (first.aliases, tuple(args["network-alias"]), "network-alias"),
        "ip": (first.ip, args["ip"], "ip"),
        "ip6": (first.ip6, args["ip6"], "ip6"),
        "link_local": (first.link_local, tuple(args["link-local-ip"]), "link-local-ip"),
        "mac_address": (first.mac_address, args["mac-address"], "mac-address"),
    }
    changes = {}
    for field, (in_network, alone, flag) in plain.items():
        if in_network and alone:
            raise errors.InvalidArgument(
                f"conflicting options: cannot specify both --{flag} and per-network {flag}"
            )
        if alone:
            changes[field] = alone
    if changes.get("aliases") and (first.name in PREDEFINED or ":" in first.name):
        raise errors.InvalidArgument(
            "network-scoped aliases are only supported for user-defined networks"
        )
    return first.replace(**changes)


def address_config(attachment: Any) -> Body:
    """The addresses that were asked for, as an EndpointIPAMConfig."""
    ipam: Body = {}
    if attachment.ip:
        ipam["IPv4Address"] = attachment.ip
    if attachment.ip6:
        ipam["IPv6Address"] = attachment.ip6
    if attachment.link_local:
        ipam["LinkLocalIPs"] = list(attachment.link_local)
    return ipam


def endpoint(attachment: Any, *, links: list[str]) -> Body:
    """An EndpointSettings, with the fields that Go writes out even when they are empty."""
    user_defined = attachment.name not in PREDEFINED and ":" not in attachment.name
    return {
        "IPAMConfig": address_config(attachment) or None,
        "Links": links or None if user_defined else None,
        "Aliases": list(attachment.aliases) or None,
        "MacAddress": attachment.mac_address,
        "DriverOpts": dict(attachment.driver_options) or None,
        "GwPriority": attachment.priority,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }
