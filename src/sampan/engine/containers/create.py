"""`create`: check everything, then write one row.

The order is: what can be refused without a trace; volumes; the writable layer and the bundle; the
row. A crash in between leaves a layer or a directory that no row names, which `reconcile` removes.
"""

from __future__ import annotations

import json
import os
import posixpath
import secrets
import shutil
from typing import TYPE_CHECKING, Any

from sampan.engine import network_options, rootfs, sized_layers, units
from sampan.engine.containers import (
    addresses,
    copy_up,
    its_image,
    lacking,
    links,
    log_config,
    mounts,
    names,
    validation,
    warnings,
)
from sampan.engine.containers.container import Container, fresh
from sampan.engine.errors import NameTaken, NoSuchImage
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Image
    from sampan.engine.settings import Settings


async def create(
    engine: Engine, name: str, body: dict[str, Any], *, platform: str = ""
) -> tuple[Container, list[str]]:
    """Docker's `POST /containers/create`: the container, and warnings for the user."""
    host_config = dict(body.get("HostConfig") or {})
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if body.get("Runtime"):  # where some clients say it
        host_config.setdefault("Runtime", body["Runtime"])
    elsewhere = ("HostConfig", "NetworkingConfig", "Runtime")
    config = {k: v for k, v in body.items() if k not in elsewhere}
    if name:
        name = name.removeprefix("/")
        if not names.VALID.fullmatch(name):
            raise errors.InvalidArgument(
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        _require_free(engine, name)
    if not config.get("Image"):
        raise errors.InvalidArgument("no image specified: config.Image is empty")
    validation.check_joined(config, host_config)
    image, told = await its_image.choose(engine, config["Image"], platform)
    merged = merge_image(config, image.config.get("config") or {})
    validation.check(engine, merged, host_config)
    _fill_host_config(host_config, engine.settings)
    left_out = lacking.leave_out(engine, host_config)
    links.resolve(engine, host_config)
    addresses.check(engine, endpoints)
    made = await _make(engine, name, image, merged, host_config, endpoints)
    return made, [*told, *left_out, *warnings.of(host_config)]


async def from_image(
    engine: Engine,
    image: Image,
    config: dict[str, Any],
    host_config: dict[str, Any],
    variables: tuple[str, ...],
) -> Container:
    """A container of layers that a lease holds and no image has yet: a step of a build.

    `variables` are further ones of its environment that are kept in no row.
    """
    validation.check(engine, config, host_config)
    _fill_host_config(host_config, engine.settings)
    container = await _make(engine, "", image, config, host_config, {}, leased=True)
    container.variables = variables
    return container


def _require_free(engine: Engine, name: str) -> None:
    if owner := engine.containers.by_name(name):
        raise NameTaken(name, owner.id)


async def _make(
    engine: Engine,
    name: str,
    image: Image,
    config: dict[str, Any],
    host_config: dict[str, Any],
    endpoints: dict[str, Any],
    *,
    leased: bool = False,  # a lease holds the layers, there need be no image
) -> Container:
    container_id = secrets.token_hex(32)
    name = name or names.generate(engine.containers.by_name)
    config["Hostname"] = config.get("Hostname") or _hostname(engine, container_id, host_config)
    points = mounts.resolve(engine, host_config, config.get("Volumes") or {})
    container = fresh(
        engine,
        container_id,
        name,
        image_id=image.id,
        image_ref=config["Image"],
        config=json.dumps(config),
        host_config=json.dumps(host_config),
        networking=json.dumps(_networking(container_id, config, host_config, endpoints)),
        mounts=json.dumps(points),
    )
    os.makedirs(container.bundle, mode=0o710)
    try:
        with engine.images.lease(lasting=False) as lease:
            lease.key(container_id)
            await rootfs.prepare(engine, container_id, image.chain_id)
            if size := sized_layers.wanted(engine, host_config):
                await in_thread(sized_layers.make, engine, container_id, size)
            await _fill_volumes(engine, container)
            _insert(engine, container, points, leased=leased)
    except BaseException:
        rootfs.remove(engine, container_id)
        shutil.rmtree(container.bundle, ignore_errors=True)
        raise
    engine.containers.add(container)
    container.event("create")
    return container


def _hostname(engine: Engine, container_id: str, host: dict[str, Any]) -> str:
    mode = host.get("NetworkMode") or ""
    if mode == "host" or host.get("UTSMode") == "host":
        return os.uname().nodename
    if mode.startswith("container:"):  # /etc/hosts is the other's as well
        config = engine.containers.get(mode.partition(":")[2]).config
        return str(config["Hostname"])
    return container_id[:12]


def _insert(
    engine: Engine, container: Container, points: list[dict[str, Any]], *, leased: bool
) -> None:
    """Its row; NameTaken or NoSuchImage where that came or went meanwhile."""
    with engine.db.transaction():
        _require_free(engine, container.name)
        if not leased and not engine.images.exists(container.image_id):
            raise NoSuchImage(container.image_ref)
        container.insert()
        for point in points:
            if point["Type"] == "volume":
                engine.db.execute(
                    "insert into mounts (container_id, volume, destination) values (?, ?, ?)",
                    (container.id, point["Name"], point["Destination"]),
                )


async def _fill_volumes(engine: Engine, container: Container) -> None:
    for point in container.mounts:
        if not point.pop("CopyUp", False):
            continue
        async with engine.volumes.held(point["Name"]) as volume:
            if copy_up.wanted(volume.mountpoint):
                layers = rootfs.layers(engine, container.id)
                await in_thread(copy_up.copy_up, volume.mountpoint, layers, point["Destination"])


def merge_image(config: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """The user's config over the image's: what Docker's `Config` then shows."""
    merged = dict(config)
    if not config.get("Entrypoint"):
        # An entrypoint of [""] clears the image's; a new one also drops the image's command.
        cleared = config.get("Entrypoint") == [""]
        merged["Entrypoint"] = None if cleared else image.get("Entrypoint")
        if not config.get("Cmd"):
            merged["Cmd"] = image.get("Cmd")
    if merged.get("Entrypoint") == [""]:
        merged["Entrypoint"] = None
    for key in ("Cmd", "Entrypoint"):
        if isinstance(merged.get(key), str):
            merged[key] = ["/bin/sh", "-c", merged[key]] if key == "Cmd" else [merged[key]]
        merged.setdefault(key, None)
    for key in ("User", "WorkingDir", "StopSignal", "Healthcheck"):
        if not merged.get(key) and image.get(key):
            merged[key] = image[key]
    if merged.get("WorkingDir"):
        merged["WorkingDir"] = posixpath.normpath(merged["WorkingDir"])
    merged["Env"] = _merge_env(image.get("Env") or [], config.get("Env") or [])
    labels = {**(image.get("Labels") or {}), **(config.get("Labels") or {})}
    merged["Labels"] = dict(sorted(labels.items()))
    for key in ("ExposedPorts", "Volumes"):
        together = {**(image.get(key) or {}), **(config.get(key) or {})}
        merged[key] = together or None
    return merged


def _merge_env(image: list[str], user: list[str]) -> list[str]:
    """The user's variables win; one without `=` takes the image's away, and stays as it is."""
    merged: dict[str, str] = {}
    for text in [*image, *user]:
        key = text.partition("=")[0]
        if not key:
            raise errors.InvalidArgument(f"invalid environment variable: {text}")
        merged[key] = text
    return list(merged.values())


def _fill_host_config(host: dict[str, Any], settings: Settings) -> None:
    """What Docker's daemon fills in where the client left it open."""
    if not host.get("NetworkMode") or host["NetworkMode"] == "default":
        host["NetworkMode"] = "bridge"
    host["ShmSize"] = host.get("ShmSize") or units.size(settings["default-shm-size"])
    host["IpcMode"] = host.get("IpcMode") or "private"
    host["CgroupnsMode"] = host.get("CgroupnsMode") or settings["default-cgroupns-mode"]
    host["CgroupParent"] = host.get("CgroupParent") or settings["cgroup-parent"]
    host["Runtime"] = host.get("Runtime") or settings["default-runtime"]
    if host.get("Init") is None and settings["init"]:
        host["Init"] = True
    named = {limit["Name"] for limit in host.get("Ulimits") or ()}
    usual = [u for name, u in settings["default-ulimits"].items() if name not in named]
    if usual:
        host["Ulimits"] = [*(host.get("Ulimits") or ()), *usual]
    if host.get("Memory") and not host.get("MemorySwap"):
        host["MemorySwap"] = 2 * host["Memory"]
    if host.get("MemorySwappiness") == -1:  # docker's CLI says so what it was not asked
        host["MemorySwappiness"] = None
    if (host.get("PidsLimit") or 0) <= 0:
        host["PidsLimit"] = None
    if settings["no-new-privileges"] and not _says_new_privileges(host):
        host["SecurityOpt"] = [*(host.get("SecurityOpt") or ()), "no-new-privileges"]
    host["RestartPolicy"] = {
        "Name": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "MaximumRetryCount": (host.get("RestartPolicy") or {}).get("MaximumRetryCount") or 0,
    }
    host["LogConfig"] = log_config.filled(host, settings)


def _says_new_privileges(host: dict[str, Any]) -> bool:
    return any(text.startswith("no-new-privileges") for text in host.get("SecurityOpt") or ())


def _networking(
    container_id: str, config: dict[str, Any], host: dict[str, Any], endpoints: dict[str, Any]
) -> dict[str, Any]:
    """Endpoint settings by network: the one of NetworkMode first, then the others named."""
    mode = host["NetworkMode"]
    if mode in ("host", "none") or mode.startswith("container:"):
        return {} if mode.startswith("container:") else {mode: {}}
    wanted = dict(endpoints)
    first = wanted.pop(mode, None) or wanted.pop("default" if mode == "bridge" else "", None) or {}
    if config.get("MacAddress") and not first.get("MacAddress"):
        first["MacAddress"] = config["MacAddress"]
    if mode != "bridge" and host.get("Links"):
        both = [*(first.get("Links") or ()), *host["Links"]]
        first = {**first, "Links": [*dict.fromkeys(both)]}
    found = {mode: first, **{name: settings or {} for name, settings in wanted.items()}}
    for settings in found.values():
        network_options.check_endpoint(settings)
    return found
