"""Ping, version and info."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sampan.dockerapi.router import DOCKER_VERSION, MAXIMUM, MINIMUM, Routes
from sampan.engine import cdi, cdi_specs, runtimes
from sampan.engine.containers import log_config
from sampan.image import choice
from sampan.kit import clock
from sampan.linux import cgroup

if TYPE_CHECKING:
    from sampan.dockerapi.router import Call
    from sampan.engine.engine import Engine

routes = Routes()
SAMPAN_VERSION = "0.1.0"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}


def architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@routes.add(("GET", "HEAD"), "/_ping")
async def ping(call: Call) -> web.StreamResponse:
    return web.Response(
        body=b"OK",
        content_type="text/plain",
        headers={
            "Cache-Control": "no-cache, no-store, must-revalidate",
            "Pragma": "no-cache",
            "Builder-Version": "2",
            "Swarm": "inactive",
        },
    )


@routes.get("/version")
async def version(call: Call) -> web.StreamResponse:
    kernel = os.uname().release
    return call.json(
        {
            "Platform": {"Name": f"Sampan {SAMPAN_VERSION}"},
            "Components": [
                {
                    "Name": "Engine",
                    "Version": DOCKER_VERSION,
                    "Details": {
                        "ApiVersion": f"{MAXIMUM[0]}.{MAXIMUM[1]}",
                        "MinAPIVersion": f"{MINIMUM[0]}.{MINIMUM[1]}",
                        "Arch": architecture(),
                        "Os": "linux",
                        "KernelVersion": kernel,
                        "Sampan": SAMPAN_VERSION,
                    },
                }
            ],
            "Version": DOCKER_VERSION,
            "ApiVersion": f"{MAXIMUM[0]}.{MAXIMUM[1]}",
            "MinAPIVersion": f"{MINIMUM[0]}.{MINIMUM[1]}",
            "GitCommit": SAMPAN_VERSION,
            "GoVersion": f"python{platform.python_version()}",
            "Os": "linux",
            "Arch": architecture(),
            "KernelVersion": kernel,
            "BuildTime": "",
            **({"Experimental": True} if call.engine.settings["experimental"] else {}),
        }
    )


@routes.get("/info")
async def info(call: Call) -> web.StreamResponse:
    found = describe(call.engine)
    if call.version >= (1, 50):
        for gone in ("BridgeNfIptables", "BridgeNfIp6tables"):
            del found[gone]
    if call.version >= (1, 49):
        found["FirewallBackend"] = {"Driver": "nftables"}
    return call.json(found)


def describe(engine: Engine) -> dict[str, Any]:
    """Docker's /info."""
    statuses = [row[0] for row in engine.db.rows("select status from containers")]
    uname = os.uname()
    devices = cdi_specs.Registry(cdi.directories(engine.settings))
    return {
        "ID": engine.shared.mirror.identity,
        "Name": uname.nodename,
        "ServerVersion": DOCKER_VERSION,
        "Containers": len(statuses),
        "ContainersRunning": statuses.count("running"),
        "ContainersPaused": statuses.count("paused"),
        "ContainersStopped": len(statuses) - statuses.count("running") - statuses.count("paused"),
        "Images": engine.db.value("select count(*) from images"),
        "Driver": choice.docker_name(engine.snapshots.name),
        "DriverStatus": [["Chosen because", engine.snapshots.why]],
        "DockerRootDir": engine.paths.root,
        "KernelVersion": uname.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "OSVersion": "",
        "Architecture": uname.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "MemoryLimit": True,
        "SwapLimit": True,
        "CpuCfsPeriod": True,
        "CpuCfsQuota": True,
        "CPUShares": True,
        "CPUSet": True,
        "PidsLimit": True,
        "OomKillDisable": not cgroup.unified(),
        "IPv4Forwarding": True,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": engine.settings["debug"],
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 1,
        "SystemTime": clock.now(),
        "LoggingDriver": engine.settings["log-driver"],
        "CgroupDriver": engine.cgroup_driver,
        "CgroupVersion": "2" if cgroup.unified() else "1",
        "NEventsListener": 0,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "IndexConfigs": {},
            "Mirrors": None,
        },
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null"],
            "Authorization": None,
            "Log": sorted(log_config.DRIVERS),
        },
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Labels": engine.settings["labels"],
        "ExperimentalBuild": engine.settings["experimental"],
        "Runtimes": runtimes.table(engine.settings),
        "DefaultRuntime": engine.settings["default-runtime"],
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive",
                  "ControlAvailable": False, "Error": "", "RemoteManagers": None},
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "sampan-init",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "SecurityOptions": [
            *(["name=apparmor"] if engine.confinement.there else []),
            "name=seccomp,profile=builtin",
            *(["name=userns"] if engine.remap else []),
            *(["name=cgroupns"] if engine.settings["default-cgroupns-mode"] == "private" else []),
        ],
        "CDISpecDirs": list(cdi.directories(engine.settings)),
        "DiscoveredDevices": [{"Source": "cdi", "ID": name} for name in devices.names()],
        "Warnings": [
            *([engine.confinement.problem] if engine.confinement.problem else []),
            *(f"CDI: {problem}" for problem in devices.problems),
        ] or None,
    }  # fmt: skip


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
