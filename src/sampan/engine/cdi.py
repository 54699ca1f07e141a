"""`--device vendor.com/class=name` and `--gpus`: CDI devices put into a container's config.json.

    names = wanted(host_config, registry)      fully named devices, or an error in Docker's words
    apply(document, registry.resolve(names))

What the edits may be is CDI's `containerEdits`; they are made after everything else in the
document, so that they can replace a device or a mount of the same place.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from sampan.engine.cdi_specs import DIRECTORIES, NAME, Registry
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.cdi_specs import Edits
    from sampan.engine.settings import Settings

_HOOKS = (
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
)  # fmt: skip
_KINDS = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
_GPU = "gpu"
_USUAL = "nvidia.com/gpu"


def directories(settings: Settings) -> tuple[str, ...]:
    return tuple(settings["cdi-spec-dirs"]) or DIRECTORIES


def inject(document: dict[str, Any], host: dict[str, Any], directories: Iterable[str]) -> None:
    """Everything above at once; without requests nothing is read."""
    if not host.get("DeviceRequests"):
        return
    registry = Registry(directories)
    apply(document, registry.resolve(wanted(host, registry)))


def wanted(host: dict[str, Any], registry: Registry) -> list[str]:
    """The devices that `DeviceRequests` name."""
    found: list[str] = []
    for request in host.get("DeviceRequests") or ():
        driver = request.get("Driver") or ""
        names = request.get("DeviceIDs") or []
        if driver == "cdi":
            for name in names:
                if not NAME.fullmatch(name):
                    raise errors.InvalidArgument(f"invalid CDI device name {name!r}")
            found += names
        else:
            found += _of_kind(request, _kind(request, driver, registry), registry)
    return list(dict.fromkeys(found))


def _kind(request: dict[str, Any], driver: str, registry: Registry) -> str:
    """vendor/class of the GPUs here that the request means."""
    capabilities = request.get("Capabilities") or []
    kinds = {name.partition("=")[0] for name in registry.names()}
    gpus = sorted(kind for kind in kinds if kind.endswith(f"/{_GPU}"))
    if driver:
        gpus = [kind for kind in gpus if kind.partition("/")[0].split(".")[0] == driver]
    if not gpus or not any(_GPU in group for group in capabilities):
        said = " ".join(f"[{' '.join(group)}]" for group in capabilities)
        raise errors.InvalidArgument(
            f"could not select device driver {json.dumps(driver)} with capabilities: [{said}]"
        )
    return _USUAL if _USUAL in gpus else gpus[0]


def _of_kind(request: dict[str, Any], kind: str, registry: Registry) -> list[str]:
    """`Count` of -1 means all; `DeviceIDs` are names within the kind."""
    names = [name for name in registry.names() if name.partition("=")[0] == kind]
    if ids := request.get("DeviceIDs"):
        return [name if "=" in name else f"{kind}={name}" for name in ids]
    every = f"{kind}=all"
    single = [name for name in names if name != every]
    count = request.get("Count") or 0
    if count < 0:
        return [every] if every in names else single
    if count > len(single):
        raise errors.InvalidArgument(
            f"{count} devices of {kind} are asked for, and {len(single)} are here"
        )
    return single[:count]


def apply(document: dict[str, Any], edits: Iterable[Edits]) -> None:
    for part in edits:
        _environment(document["process"], part.get("env") or ())
        for node in part.get("deviceNodes") or ():
            _device(document, node)
        for mount in part.get("mounts") or ():
            _mount(document, mount)
        for hook in part.get("hooks") or ():
            _hook(document, hook)
        for item in part.get("netDevices") or ():
            inside = {"name": item.get("name") or item["hostInterfaceName"]}
            document["linux"].setdefault("netDevices", {})[item["hostInterfaceName"]] = inside
        if groups := [group for group in part.get("additionalGids") or () if group]:
            user = document["process"]["user"]
            held = user.get("additionalGids") or []
            user["additionalGids"] = list(dict.fromkeys([*held, *groups]))
        if part.get("intelRdt"):
            document["linux"]["intelRdt"] = part["intelRdt"]
    document["mounts"].sort(key=lambda mount: mount["destination"].rstrip("/").count("/"))


def _environment(process: dict[str, Any], variables: Iterable[str]) -> None:
    merged = {text.partition("=")[0]: text for text in [*process["env"], *variables]}
    process["env"] = list(merged.values())


def _device(document: dict[str, Any], node: dict[str, Any]) -> None:
    """What the file leaves open is as the node on the host is."""
    path, source = node["path"], node.get("hostPath") or node["path"]
    device: dict[str, Any] = {"path": path}
    for key in ("type", "major", "minor", "fileMode", "uid", "gid"):
        if node.get(key) is not None:
            device[key] = node[key]
    if not {"type", "major", "minor"} <= set(device) and device.get("type") != "p":
        try:
            status = os.stat(source)
        except OSError as error:
            raise errors.InvalidArgument(
                f"CDI device injection failed: {source}: {(error.strerror or '').lower()}"
            ) from error
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            raise errors.InvalidArgument(
                f"CDI device injection failed: {source} is not a device node"
            )
        numbers = {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
        mode = {"fileMode": stat.S_IMODE(status.st_mode)}
        device = {"type": kind, **numbers, **mode, **device}
    user = document["process"]["user"]
    for key in ("uid", "gid"):
        if user.get(key):
            device.setdefault(key, user[key])
    linux = document["linux"]
    linux["devices"] = [d for d in linux.get("devices") or () if d["path"] != path] + [device]
    if device["type"] != "p":
        rule = {key: device[key] for key in ("type", "major", "minor")}
        rules = linux.setdefault("resources", {}).setdefault("devices", [])
        rules.append({"allow": True, **rule, "access": node.get("permissions") or "rwm"})


def _mount(document: dict[str, Any], mount: dict[str, Any]) -> None:
    where = mount["containerPath"]
    made = {
        "destination": where,
        "type": mount.get("type") or "bind",
        "source": mount.get("hostPath") or mount.get("type") or "",
        "options": list(mount.get("options") or ()),
    }
    document["mounts"] = [m for m in document["mounts"] if m["destination"] != where] + [made]


def _hook(document: dict[str, Any], hook: dict[str, Any]) -> None:
    name = hook.get("hookName")
    if name not in _HOOKS:
        raise errors.InvalidArgument(f"CDI device injection failed: there is no hook {name!r}")
    made = {key: hook[key] for key in ("path", "args", "env", "timeout") if hook.get(key)}
    document.setdefault("hooks", {}).setdefault(name, []).append(made)
