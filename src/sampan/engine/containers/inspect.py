"""`inspect`: a container as Docker's JSON, with the legacy fields of API 1.51."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import oci, places, published_ports
from sampan.engine.containers import links, mounts, start
from sampan.image import choice
from sampan.spec import docker_defaults

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.places import Place

HOST_DEFAULTS: dict[str, Any] = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge", "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False, "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [0, 0],
    "CapAdd": None, "CapDrop": None, "CgroupnsMode": "private", "Dns": None, "DnsOptions": None,
    "DnsSearch": None, "ExtraHosts": None, "GroupAdd": None, "IpcMode": "private", "Cgroup": "",
    "Links": None, "OomScoreAdj": 0, "PidMode": "", "Privileged": False, "PublishAllPorts": False,
    "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "", "UsernsMode": "",
    "ShmSize": 64 << 20, "Runtime": "sampan", "Isolation": "", "CpuShares": 0, "Memory": 0,
    "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
    "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None,
    "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
}  # fmt: skip
CONFIG_DEFAULTS: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False,
    "AttachStderr": False, "ExposedPorts": None, "Tty": False, "OpenStdin": False,
    "StdinOnce": False, "Env": [], "Cmd": None, "Image": "", "Volumes": None, "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None, "Labels": {},
}  # fmt: skip
EMPTY_ENDPOINT: dict[str, Any] = {
    "IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None,
    "GwPriority": 0, "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "",
    "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}  # fmt: skip


def inspect(container: Container) -> dict[str, Any]:
    """Docker's `GET /containers/{id}/json`."""
    command = oci.command(container.config) or [""]
    snapshots = container.engine.snapshots
    driver = choice.docker_name(snapshots.name)
    places = {"ID": container.id, **snapshots.places(container.id)}
    host = {**HOST_DEFAULTS, **container.host_config, "Links": links.shown(container)}
    if not host["Privileged"]:
        for key, usual in (
            ("MaskedPaths", docker_defaults.MASKED_PATHS),
            ("ReadonlyPaths", docker_defaults.READONLY_PATHS),
        ):
            if host.get(key) is None:  # an empty list is none of them
                host[key] = list(usual)
    else:
        host["MaskedPaths"] = host["ReadonlyPaths"] = None
    return {
        "Id": container.id,
        "Created": container.created,
        "Path": command[0],
        "Args": command[1:],
        "State": state(container),
        "Image": container.image_id,
        "ResolvConfPath": f"{container.bundle}/resolv.conf",
        "HostnamePath": f"{container.bundle}/hostname",
        "HostsPath": f"{container.bundle}/hosts",
        "LogPath": container.log_path if host["LogConfig"]["Type"] == "json-file" else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": start.apparmor_profile(container),
        "ExecIDs": [e.id for e in container.execs.values() if e.running] or None,
        "HostConfig": host,
        "GraphDriver": {"Data": places, "Name": driver},
        "Mounts": mounts.shown(container),
        "Config": _config(container),
        "NetworkSettings": network_settings(container),
    }


def _config(container: Container) -> dict[str, Any]:
    config = {**CONFIG_DEFAULTS, **container.config}
    if not config["ExposedPorts"]:
        del config["ExposedPorts"]
    return config


def state(container: Container) -> dict[str, Any]:
    status = container.status
    return {
        "Status": status,
        "Running": container.running or status == "restarting",
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": container.oom_killed,
        "Dead": status == "dead",
        "Pid": container.pid,
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": container.started_at,
        "FinishedAt": container.finished_at,
        **({"Health": container.health.document()} if container.health else {}),
    }


def network_settings(container: Container) -> dict[str, Any]:
    here = {p.network.name: p for p in places.of(container)}
    networks = {
        name: endpoint(container, name, settings, here.get(name))
        for name, settings in container.networking.items()
    }
    default = networks.get("bridge", EMPTY_ENDPOINT)
    return {
        "Bridge": "",
        "SandboxID": container.id if container.running else "",
        "SandboxKey": f"/proc/{container.pid}/ns/net" if container.pid else "",
        "Ports": ports(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{
            key: default[key]
            for key in (
                "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress",
                "IPPrefixLen", "IPv6Gateway", "MacAddress",
            )
        },
        "Networks": networks,
    }  # fmt: skip


def endpoint(
    container: Container, name: str, settings: dict[str, Any], place: Place | None
) -> dict[str, Any]:
    """One network of a container, as Docker's EndpointSettings."""
    found = {**EMPTY_ENDPOINT, **{k: v for k, v in settings.items() if k in EMPTY_ENDPOINT}}
    if name not in ("bridge", "host", "none"):
        aliases = [*(settings.get("Aliases") or ())]
        hostname = container.config.get("Hostname") or container.id[:12]
        names = [container.name, *aliases, container.id[:12], hostname]
        found["DNSNames"] = list(dict.fromkeys(names))
    if place is not None:
        found |= {
            "NetworkID": place.network.id,
            "EndpointID": place.id,
            "Gateway": place.network.gateway,
            "IPAddress": place.endpoint.ipv4,
            "IPPrefixLen": place.endpoint.prefix,
            "IPv6Gateway": place.network.gateway6,
            "GlobalIPv6Address": place.endpoint.ipv6,
            "GlobalIPv6PrefixLen": place.endpoint.prefix6,
            "MacAddress": place.endpoint.mac,
        }
    return found


def ports(container: Container) -> dict[str, Any]:
    """`80/tcp` → where it is published now, or null."""
    if not container.running:
        return {}
    found: dict[str, Any] = dict.fromkeys(container.config.get("ExposedPorts") or ())
    for binding in published_ports.of(container):
        spec = f"{binding.container_port}/{binding.protocol}"
        entries = found.get(spec) or []
        hosts = [binding.host_ip] if binding.host_ip else ["0.0.0.0", "::"]
        entries += [{"HostIp": host, "HostPort": str(binding.host_port)} for host in hosts]
        found[spec] = entries
    return found
