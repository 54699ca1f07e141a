"""`--storage-opt size=10g`: a container's writable layer in a file system of that size.

The layer's directory (what changed, and overlayfs's own work) lies on an ext4 in a sparse file of
the bundle, which is mounted over the layer's place from `create` to `rm`, so that cp, diff and
commit see it as any other; after a reboot, or a shutdown, the engine mounts it again. Where
snapshots are plain copies there is no such layer, and the option is refused.
"""

from __future__ import annotations

import logging
import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

from sampan.engine.volume_drivers import loop_image
from sampan.kit import errors
from sampan.linux import mount as linux_mount
from sampan.linux.mount import MNT

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

log = logging.getLogger("sampan.storage")


class NotSized(errors.Unavailable):
    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the storage of container {key[:12]} cannot be bounded: {reason}")


def wanted(engine: Engine, host: dict[str, Any]) -> int:
    """Bytes, 0 for no bound; refused where an option is unknown or this host cannot."""
    options = host.get("StorageOpt") or {}
    for name in options:
        if name.lower() != "size":
            raise errors.InvalidArgument(f"--storage-opt: unknown option {name}")
    text = next(iter(options.values()), "")
    if not text:
        return 0
    if engine.snapshots.name == "native":
        raise errors.Unsupported(
            "--storage-opt size needs overlayfs, and snapshots are plain copies on this host "
            f"({engine.snapshots.why})"
        )
    return loop_image.check(text)


def make(engine: Engine, key: str, size: int) -> None:
    """Move the new, empty writable layer of `key` to a file system of its own. Blocking."""
    place, disk = _place(engine, key), _disk(engine, key)
    before = os.stat(f"{place}/fs")
    with open(f"{place}/parent", "rb") as file:
        parent = file.read()
    try:
        loop_image.make(disk, size)
        loop_image.mount(disk, place)
    except subprocess.CalledProcessError as error:
        raise NotSized(key, loop_image.said(error)) from error
    os.mkdir(f"{place}/fs", 0o755)
    os.mkdir(f"{place}/work", 0o711)
    os.chown(f"{place}/fs", before.st_uid, before.st_gid)
    os.chmod(f"{place}/fs", stat.S_IMODE(before.st_mode))
    os.utime(f"{place}/fs", ns=(before.st_atime_ns, before.st_mtime_ns))
    with open(f"{place}/parent", "wb") as file:
        file.write(parent)


def mount(engine: Engine, key: str) -> None:
    """Where the layer has a disk that is not mounted: mount it. Blocking."""
    place, disk = _place(engine, key), _disk(engine, key)
    if not os.path.exists(disk) or os.path.ismount(place):
        return
    try:
        loop_image.mount(disk, place)
    except subprocess.CalledProcessError as error:
        raise NotSized(key, loop_image.said(error)) from error


def mount_all(engine: Engine) -> None:
    """At the engine's start; one that cannot be mounted is named in the log."""
    for container in engine.containers:
        try:
            mount(engine, container.id)
        except errors.SampanError as error:
            log.error("%s", error)


def unmount(engine: Engine, key: str) -> None:
    """Fine where there is no disk; a container that still uses it keeps it to its end."""
    if os.path.exists(_disk(engine, key)) and os.path.ismount(place := _place(engine, key)):
        linux_mount.umount(place, MNT.DETACH)


def unmount_all(engine: Engine) -> None:
    for container in engine.containers:
        unmount(engine, container.id)


def _disk(engine: Engine, key: str) -> str:
    return f"{engine.paths.bundle(key)}/disk"


def _place(engine: Engine, key: str) -> str:
    """The directory that holds a writable layer and what overlayfs needs beside it."""
    for item in engine.snapshots.mounts(key):
        for option in item.options:
            if option.startswith("upperdir="):
                return os.path.dirname(option.removeprefix("upperdir="))
        if item.type == "bind":  # an image without layers
            return os.path.dirname(item.source)
    raise errors.NotFound(f"container {key[:12]} has no writable layer")
