"""What is mounted into a container: Docker's three ways of saying it, resolved once, at create.

`HostConfig.Binds` (`/host:/in:ro`, `name:/in`, and `Config.Volumes` for anonymous ones),
`HostConfig.Mounts` (`--mount`) and the image's `VOLUME`s become one list of Docker's MountPoint
objects, which `inspect` shows and `oci` turns into the runtime's mounts.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine

    MountPoint = dict[str, Any]

_KINDS = ("bind", "volume", "tmpfs", "image")
_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")
_TMPFS_FLAGS = {
    "atime", "async", "defaults", "dev", "diratime", "dirsync", "exec", "loud", "mand", "noatime",
    "nodev", "nodiratime", "noexec", "nomand", "norelatime", "nostrictatime", "nosuid", "rbind",
    "relatime", "remount", "ro", "rw", "silent", "strictatime", "suid", "sync", "bind",
    *_PROPAGATIONS,
}  # fmt: skip
_ONE_OF = ({"ro", "rw"}, {"z", "Z"}, _PROPAGATIONS, {"consistent", "cached", "delegated"})
_FLAGS = {"ro", "rw", "z", "Z", "nocopy", "volume-nocopy", "consistent", "cached", "delegated"}


def resolve(
    engine: Engine, host_config: dict[str, Any], declared: Iterable[str]
) -> list[MountPoint]:
    """All mount points; makes the volumes they name. `declared`: volumes of Config and image."""
    points: dict[str, MountPoint] = {}

    def add(point: MountPoint) -> None:
        where = point["Destination"]
        if where in points:
            raise errors.InvalidArgument(f"Duplicate mount point: {where}")
        points[where] = point

    for text in host_config.get("Binds") or ():
        add(_bind(engine, text))
    for mount in host_config.get("Mounts") or ():
        add(_mount(engine, mount))
    temporary = {_destination(where) for where in host_config.get("Tmpfs") or {}}
    for where in sorted(temporary & points.keys()):
        raise errors.InvalidArgument(f"Duplicate mount point: {where}")
    others: dict[str, MountPoint] = {}  # of which the last one counts
    for source in host_config.get("VolumesFrom") or ():
        others |= {point["Destination"]: point for point in _from_container(engine, source)}
    points = {**others, **points}
    taken = {*points, *temporary}
    for path in sorted(declared):
        where = _destination(path)
        if where not in taken:
            points[where] = _volume(engine, "", where)
    return list(points.values())


def validate(host_config: dict[str, Any]) -> None:
    """Refuse what can never work, before anything is made."""
    for text in host_config.get("Binds") or ():
        _split(text)
    for mount in host_config.get("Mounts") or ():
        try:
            _validate_mount(mount)
        except errors.InvalidArgument as error:
            raise _invalid_mount(mount.get("Type") or "", error) from error
    for where, text in (host_config.get("Tmpfs") or {}).items():
        _destination(where)
        for option in filter(None, (text or "").split(",")):
            name, equals, _ = option.partition("=")
            if name not in _TMPFS_VALUES if equals else option not in _TMPFS_FLAGS:
                raise errors.InvalidArgument(f'invalid tmpfs option ["{option}"]')


def _validate_mount(mount: dict[str, Any]) -> None:
    kind, source = mount.get("Type"), mount.get("Source") or ""
    if not mount.get("Target"):
        raise errors.InvalidArgument("field Target must not be empty")
    _destination(mount["Target"])
    if kind == "bind":
        _validate_bind(source, mount.get("BindOptions") or {})
    elif kind == "tmpfs" and source:
        raise errors.InvalidArgument("field Source must not be specified")
    elif kind == "image" and not source:
        raise errors.InvalidArgument("field Source must not be empty")
    elif kind not in _KINDS:
        raise errors.InvalidArgument("mount type unknown")
    for other in _KINDS:
        if other != kind and mount.get(f"{other.title()}Options") is not None:
            raise errors.InvalidArgument(f"field {other.title()}Options must not be specified")
    _validate_subpaths(mount)


def _invalid_mount(kind: str, reason: errors.InvalidArgument) -> errors.InvalidArgument:
    return errors.InvalidArgument(f'invalid mount config for type "{kind}": {reason}')


def _validate_subpaths(mount: dict[str, Any]) -> None:
    path = (mount.get("VolumeOptions") or {}).get("Subpath") or ""
    if path.startswith("/") or ".." in path.split("/"):
        raise errors.InvalidArgument(
            f"subpath must be a relative path within the volume, not '{path}'"
        )
    if (mount.get("ImageOptions") or {}).get("Subpath"):
        raise errors.Unsupported("a subpath of an image cannot be mounted; mount the whole image")


def _validate_bind(source: str, options: dict[str, Any]) -> None:
    if not source:
        raise errors.InvalidArgument("field Source must not be empty")
    if not source.startswith("/"):
        raise errors.InvalidArgument(f"invalid mount path: '{source}' mount path must be absolute")
    propagation = options.get("Propagation")
    if propagation and propagation not in _PROPAGATIONS:
        raise errors.InvalidArgument(f"invalid propagation mode: {propagation}")
    if not os.path.exists(source) and not options.get("CreateMountpoint"):
        raise errors.InvalidArgument(f"bind source path does not exist: {source}")


def tmpfs(host_config: dict[str, Any]) -> dict[str, list[str]]:
    """Destination → mount options of every tmpfs, from `--tmpfs` and from `--mount`."""
    found = {
        _destination(where): [option for option in (text or "").split(",") if option]
        for where, text in (host_config.get("Tmpfs") or {}).items()
    }
    for mount in host_config.get("Mounts") or ():
        if mount.get("Type") == "tmpfs":
            wanted = mount.get("TmpfsOptions") or {}
            options = ["ro"] if mount.get("ReadOnly") else []
            if wanted.get("SizeBytes"):
                options.append(f"size={wanted['SizeBytes']}")
            if wanted.get("Mode"):
                options.append(f"mode={wanted['Mode']:o}")
            found[_destination(mount["Target"])] = options
    return found


def _split(text: str) -> tuple[str, str, list[str]]:
    """`source:destination[:options]`, checked."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
        raise errors.InvalidArgument(f"invalid volume specification: '{text}'")
    options = [option for option in (parts[2] if len(parts) == 3 else "").split(",") if option]
    known = _FLAGS | _PROPAGATIONS
    if {*options} - known or any(len(kind & {*options}) > 1 for kind in _ONE_OF):
        raise errors.InvalidArgument(f"invalid mode: {parts[2]}")
    if parts[0].startswith("/") and {"copy", "nocopy"} & {*options}:
        raise errors.InvalidArgument(f"invalid mode: {parts[2]}")  # a volume's alone
    try:
        where = _destination(parts[1])
    except errors.InvalidArgument as error:
        kind = "bind" if parts[0].startswith("/") else "volume"
        raise errors.within(
            f"invalid volume specification: '{text}'", _invalid_mount(kind, error)
        ) from error
    if not parts[0].startswith("/") and _PROPAGATIONS & {*options}:
        raise errors.InvalidArgument(
            f"invalid volume specification: '{text}': mount propagation is for directories of the "
            "host, not for volumes"
        )
    return parts[0], where, options


def _destination(path: str) -> str:
    if not path.startswith("/"):
        raise errors.InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise errors.InvalidArgument("invalid specification: destination can't be '/'")
    return clean


def _bind(engine: Engine, text: str) -> MountPoint:
    source, where, options = _split(text)
    writable = "ro" not in options
    mode = ",".join(option for option in options if option not in _PROPAGATIONS)
    if not source.startswith("/"):
        point = _volume(engine, source, where)
        point["CopyUp"] = not {"nocopy", "volume-nocopy"} & {*options}
        return point | {"Mode": mode or "z", "RW": writable}
    try:
        os.makedirs(source, mode=0o755, exist_ok=True)
    except FileExistsError:
        pass  # a file can be mounted too
    except OSError as error:
        raise errors.InvalidArgument(
            f"error while creating mount source path '{source}': mkdir {error.filename}: "
            f"{(error.strerror or '').lower()}"
        ) from error
    propagation = next((option for option in options if option in _PROPAGATIONS), "rprivate")
    return {
        "Type": "bind",
        "Source": source,
        "Destination": where,
        "Mode": mode,
        "RW": writable,
        "Propagation": propagation,
    }


def _mount(engine: Engine, mount: dict[str, Any]) -> MountPoint:
    where = _destination(mount["Target"])
    writable = not mount.get("ReadOnly")
    if mount["Type"] == "tmpfs":
        return _plain("tmpfs", "", where, writable=writable)
    if mount["Type"] == "image":
        image = engine.images.get(mount["Source"])
        point = _plain("image", mount["Source"], where, writable=False)
        return point | {"_image": image.id, "_chain_id": image.chain_id}
    if mount["Type"] == "bind":
        options = mount.get("BindOptions") or {}
        if options.get("CreateMountpoint"):
            os.makedirs(mount["Source"], mode=0o755, exist_ok=True)
        return {
            "Type": "bind",
            "Source": mount["Source"],
            "Destination": where,
            "Mode": "",
            "RW": writable,
            "Propagation": options.get("Propagation") or "rprivate",
            "_recursive": not options.get("NonRecursive"),
            "_writable_below": bool(options.get("ReadOnlyNonRecursive")),
        }
    options = mount.get("VolumeOptions") or {}
    driver = options.get("DriverConfig") or {}
    volume = engine.volumes.ensure(
        mount.get("Source") or "",
        driver=driver.get("Name") or "local",
        labels=options.get("Labels"),
        options=driver.get("Options"),
    )
    return {
        "Type": "volume",
        "Name": volume.name,
        "Source": volume.mountpoint,
        "Destination": where,
        "Driver": volume.driver,
        "Mode": "z",
        "RW": writable,
        "Propagation": "",
        "CopyUp": not options.get("NoCopy"),
        "_subpath": options.get("Subpath") or "",
    }


def _plain(kind: str, source: str, where: str, *, writable: bool) -> MountPoint:
    return {
        "Type": kind,
        "Source": source,
        "Destination": where,
        "Mode": "",
        "RW": writable,
        "Propagation": "",
    }


def shown(container: Container) -> list[MountPoint]:
    """As users see them: without our own notes, whose names begin with an underscore."""
    return [
        {key: value for key, value in point.items() if not key.startswith("_")}
        for point in container.mounts
    ]


def _volume(engine: Engine, name: str, where: str) -> MountPoint:
    volume = engine.volumes.ensure(name)
    return {
        "Type": "volume",
        "Name": volume.name,
        "Source": volume.mountpoint,
        "Destination": where,
        "Driver": volume.driver,
        "Mode": "",
        "RW": True,
        "Propagation": "",
        "CopyUp": True,
    }


def _from_container(engine: Engine, text: str) -> list[MountPoint]:
    name, _, mode = text.partition(":")
    if mode not in ("", "ro", "rw", "z", "Z", "ro,z", "rw,z", "ro,Z", "rw,Z"):
        raise errors.InvalidArgument(f"invalid mode: {mode}")
    try:
        found = engine.containers.get(name).mounts
    except errors.NotFound as error:  # 404 would mean the image
        raise errors.InvalidArgument(str(error)) from error
    return [{**point, "RW": point["RW"] and mode != "ro"} for point in found]
