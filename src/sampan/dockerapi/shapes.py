"""What the bodies of Docker's API look like: each field and the kind of JSON value it takes.

    body = await call.body(shapes.CONTAINER)      checked; keys spelled as they are here

As Go's decoder does it: keys fit without regard to case, null stands for "not given", and a field
that nobody knows is left alone. What does not fit is refused with its place:
`HostConfig.Memory must be a whole number, not "1g"`. Source: Engine API 1.51.
"""

from __future__ import annotations

import json
from typing import Any

from sampan.kit import errors

INT64 = 1 << 63


class Kind:
    """A kind of JSON value that has no parts."""

    def __init__(self, name: str, zero: Any, *types: type) -> None:
        self.name, self.zero, self.types = name, zero, types


TEXT = Kind("a string", "", str)
WHOLE = Kind("a whole number", 0, int)
FLAG = Kind("true or false", False, bool)
WORDS = Kind("a string or a list of strings", None, str, list)  # Cmd and Entrypoint
ANY = Kind("anything", None)


class Each:
    """An object whose keys are free: `Each(TEXT)` for labels."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Full(dict[str, Any]):
    """An object whose fields are all there in the end: what is not given is Go's zero."""


def parse(text: str | bytes, shape: Any, where: str = "") -> Any:
    """A JSON document of that shape; raises InvalidArgument."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":
            raise errors.InvalidArgument(f"unexpected content after JSON: {error}") from error
        raise errors.InvalidArgument(f"invalid JSON{where and f' in {where}'}: {error}") from error
    return check(found, shape, where)


def check(value: Any, shape: Any, where: str = "") -> Any:
    """The value, with its keys as the shape spells them; raises InvalidArgument with the place.

    A shape is a Kind, `[shape]` for a list, `Each(shape)`, or `{name: shape}` for an object.
    """
    if value is None:
        return None
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise _wrong(value, "a list", where)
        return [
            check(_zero(shape[0]) if one is None else one, shape[0], f"{where}[{i}]")
            for i, one in enumerate(value)
        ]
    if isinstance(shape, Kind):
        return _plain(value, shape, where)
    if not isinstance(value, dict):
        raise _wrong(value, "an object", where)
    if isinstance(shape, Each):
        return {
            text(key, where): check(
                _zero(shape.shape) if one is None else one, shape.shape, f"{where}.{key}"
            )
            for key, one in value.items()
        }
    usual = {name.lower(): name for name in shape}
    found = {usual.get(key.lower(), text(key, where)): one for key, one in value.items()}
    for name in shape.keys() & found.keys():
        found[name] = check(found[name], shape[name], f"{where}.{name}".lstrip("."))
    if isinstance(shape, Full):
        return {name: found[name] if found.get(name) else _zero(shape[name]) for name in shape}
    return found


def _zero(shape: Any) -> Any:
    """What Go makes of null in a list or a map."""
    if isinstance(shape, Kind):
        return shape.zero
    return [] if isinstance(shape, list) else {}


def _plain(value: Any, kind: Kind, where: str) -> Any:
    if kind is ANY:
        return value
    fits = isinstance(value, kind.types) and (kind is FLAG or not isinstance(value, bool))
    if not fits or (isinstance(value, int) and not -INT64 <= value < INT64):
        raise _wrong(value, kind.name, where)
    if isinstance(value, str):
        return [text(value, where)] if kind is WORDS else text(value, where)
    if isinstance(value, list):
        return check(value, [TEXT], where)
    return value


def text(value: str, where: str) -> str:
    """No null byte, which no name or path of the kernel's can hold, and no half of a character."""
    if "\0" in value or (not value.isprintable() and any(0xD800 <= ord(c) < 0xE000 for c in value)):
        raise errors.InvalidArgument(f"{where or 'the body'}: {json.dumps(value)} is no text")
    return value


def _wrong(value: Any, wanted: str, where: str) -> errors.InvalidArgument:
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) < 60 else f"{shown[:57]}..."
    return errors.InvalidArgument(f"{where or 'the body'} must be {wanted}, not {shown}")


_LABELS = Each(TEXT)
_DEVICE_LIMITS = [Full(Path=TEXT, Rate=WHOLE)]
_BINDINGS = Each([{"HostIp": TEXT, "HostPort": TEXT}])

CONFIG = {
    "Hostname": TEXT, "Domainname": TEXT, "User": TEXT, "AttachStdin": FLAG, "AttachStdout": FLAG,
    "AttachStderr": FLAG, "ExposedPorts": Each(ANY), "Tty": FLAG, "OpenStdin": FLAG,
    "StdinOnce": FLAG, "Env": [TEXT], "Cmd": WORDS, "ArgsEscaped": FLAG, "Image": TEXT,
    "Volumes": Each(ANY), "WorkingDir": TEXT, "Entrypoint": WORDS, "NetworkDisabled": FLAG,
    "MacAddress": TEXT, "OnBuild": [TEXT], "Labels": _LABELS, "StopSignal": TEXT,
    "StopTimeout": WHOLE, "Shell": [TEXT],
    "Healthcheck": {"Test": [TEXT], "Interval": WHOLE, "Timeout": WHOLE, "Retries": WHOLE,
                    "StartPeriod": WHOLE, "StartInterval": WHOLE},
}  # fmt: skip
_MOUNT = {
    "Type": TEXT, "Source": TEXT, "Target": TEXT, "ReadOnly": FLAG, "Consistency": TEXT,
    "BindOptions": {"Propagation": TEXT, "NonRecursive": FLAG, "CreateMountpoint": FLAG,
                    "ReadOnlyNonRecursive": FLAG, "ReadOnlyForceRecursive": FLAG},
    "VolumeOptions": {"NoCopy": FLAG, "Labels": _LABELS, "Subpath": TEXT,
                      "DriverConfig": {"Name": TEXT, "Options": _LABELS}},
    "ImageOptions": {"Subpath": TEXT},
    "TmpfsOptions": {"SizeBytes": WHOLE, "Mode": WHOLE, "Options": [[TEXT]]},
}  # fmt: skip
RESOURCES = {
    "CpuShares": WHOLE, "Memory": WHOLE, "NanoCpus": WHOLE, "CgroupParent": TEXT,
    "BlkioWeight": WHOLE, "BlkioWeightDevice": [Full(Path=TEXT, Weight=WHOLE)],
    "BlkioDeviceReadBps": _DEVICE_LIMITS, "BlkioDeviceWriteBps": _DEVICE_LIMITS,
    "BlkioDeviceReadIOps": _DEVICE_LIMITS, "BlkioDeviceWriteIOps": _DEVICE_LIMITS,
    "CpuPeriod": WHOLE, "CpuQuota": WHOLE, "CpuRealtimePeriod": WHOLE, "CpuRealtimeRuntime": WHOLE,
    "CpusetCpus": TEXT, "CpusetMems": TEXT, "DeviceCgroupRules": [TEXT],
    "Devices": [Full(PathOnHost=TEXT, PathInContainer=TEXT, CgroupPermissions=TEXT)],
    "DeviceRequests": [{"Driver": TEXT, "Count": WHOLE, "DeviceIDs": [TEXT],
                        "Capabilities": [[TEXT]], "Options": _LABELS}],
    "KernelMemory": WHOLE, "KernelMemoryTCP": WHOLE, "MemoryReservation": WHOLE,
    "MemorySwap": WHOLE, "MemorySwappiness": WHOLE, "OomKillDisable": FLAG, "PidsLimit": WHOLE,
    "Ulimits": [Full(Name=TEXT, Soft=WHOLE, Hard=WHOLE)],
    "CpuCount": WHOLE, "CpuPercent": WHOLE, "IOMaximumIOps": WHOLE, "IOMaximumBandwidth": WHOLE,
    "RestartPolicy": {"Name": TEXT, "MaximumRetryCount": WHOLE},
}  # fmt: skip
HOST_CONFIG = {
    **RESOURCES,
    "Binds": [TEXT], "ContainerIDFile": TEXT, "LogConfig": {"Type": TEXT, "Config": _LABELS},
    "NetworkMode": TEXT, "PortBindings": _BINDINGS, "AutoRemove": FLAG, "VolumeDriver": TEXT,
    "VolumesFrom": [TEXT], "Mounts": [_MOUNT], "ConsoleSize": [WHOLE], "Annotations": _LABELS,
    "CapAdd": [TEXT], "CapDrop": [TEXT], "CgroupnsMode": TEXT, "Dns": [TEXT], "DnsOptions": [TEXT],
    "DnsSearch": [TEXT], "ExtraHosts": [TEXT], "GroupAdd": [TEXT], "IpcMode": TEXT, "Cgroup": TEXT,
    "Links": [TEXT], "OomScoreAdj": WHOLE, "PidMode": TEXT, "Privileged": FLAG,
    "PublishAllPorts": FLAG, "ReadonlyRootfs": FLAG, "SecurityOpt": [TEXT], "StorageOpt": _LABELS,
    "Tmpfs": _LABELS, "UTSMode": TEXT, "UsernsMode": TEXT, "ShmSize": WHOLE, "Sysctls": _LABELS,
    "Runtime": TEXT, "Isolation": TEXT, "MaskedPaths": [TEXT], "ReadonlyPaths": [TEXT],
    "Init": FLAG,
}  # fmt: skip
ENDPOINT = {
    "IPAMConfig": {"IPv4Address": TEXT, "IPv6Address": TEXT, "LinkLocalIPs": [TEXT]},
    "Links": [TEXT], "Aliases": [TEXT], "MacAddress": TEXT, "DriverOpts": _LABELS,
    "GwPriority": WHOLE, "NetworkID": TEXT, "EndpointID": TEXT, "Gateway": TEXT, "IPAddress": TEXT,
    "IPPrefixLen": WHOLE, "IPv6Gateway": TEXT, "GlobalIPv6Address": TEXT,
    "GlobalIPv6PrefixLen": WHOLE, "DNSNames": [TEXT],
}  # fmt: skip
CONTAINER = {
    **CONFIG,
    "Runtime": TEXT,
    "HostConfig": HOST_CONFIG,
    "NetworkingConfig": {"EndpointsConfig": Each(ENDPOINT)},
}
NETWORK = {
    "Name": TEXT, "CheckDuplicate": FLAG, "Driver": TEXT, "Scope": TEXT, "Internal": FLAG,
    "Attachable": FLAG, "Ingress": FLAG, "ConfigOnly": FLAG, "ConfigFrom": {"Network": TEXT},
    "EnableIPv4": FLAG, "EnableIPv6": FLAG, "Options": _LABELS, "Labels": _LABELS,
    "IPAM": {"Driver": TEXT, "Options": _LABELS,
             "Config": [{"Subnet": TEXT, "IPRange": TEXT, "Gateway": TEXT,
                         "AuxiliaryAddresses": _LABELS}]},
}  # fmt: skip
CONNECT = {"Container": TEXT, "EndpointConfig": ENDPOINT}
DISCONNECT = {"Container": TEXT, "Force": FLAG}
VOLUME = {"Name": TEXT, "Driver": TEXT, "DriverOpts": _LABELS, "Labels": _LABELS}
EXEC = {
    "AttachStdin": FLAG, "AttachStdout": FLAG, "AttachStderr": FLAG, "ConsoleSize": [WHOLE],
    "DetachKeys": TEXT, "Tty": FLAG, "Env": [TEXT], "Cmd": WORDS, "Privileged": FLAG, "User": TEXT,
    "WorkingDir": TEXT,
}  # fmt: skip
CHECKPOINT = {"CheckpointID": TEXT, "CheckpointDir": TEXT, "Exit": FLAG}
EXEC_START = {"Detach": FLAG, "Tty": FLAG, "ConsoleSize": [WHOLE]}
AUTH = {
    "username": TEXT, "password": TEXT, "email": TEXT, "serveraddress": TEXT, "auth": TEXT,
    "identitytoken": TEXT, "registrytoken": TEXT,
}  # fmt: skip
PLATFORM = {"os": TEXT, "architecture": TEXT, "variant": TEXT}
