"""Which snapshotter: the first of erofs, overlay and native that works, found out by doing it.

    snapshots = choose(root)            or choose(root, "overlay"), whatever else would work

A root keeps the one it has: layers of one kind cannot stand over those of another.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.image.erofs import build, mounting
from sampan.image.erofs_snapshots import Erofs
from sampan.image.layers import discard
from sampan.image.native import Native
from sampan.image.snapshots import Overlay
from sampan.kit import errors
from sampan.linux import mount

if TYPE_CHECKING:
    from sampan.image.snapshots import Snapshotter

ALIASES = {"overlay2": "overlay", "vfs": "native"}  # Docker's names
NAMES = ("erofs", "overlay", "native")


def check(name: str) -> str:
    """A snapshotter's own name, or nothing. Raises InvalidArgument."""
    name = ALIASES.get(name, name)
    if name and name not in NAMES:
        known = ", ".join([*NAMES, *ALIASES])
        raise errors.InvalidArgument(f"storage-driver: {name!r} is none of {known}")
    return name


def docker_name(name: str) -> str:
    """What clients of Docker know it as."""
    return {own: dockers for dockers, own in ALIASES.items()}.get(name, name)


def choose(root: str, wanted: str = "") -> Snapshotter:
    """Raises Conflict where the root has the layers of another, Unsupported where what is asked for
    (or what the root has) does not work here."""
    wanted, kept = check(wanted), _kept(root)
    if wanted and kept and (wanted == "erofs") != (kept == "erofs"):
        raise errors.Conflict(
            f"{root} has layers of the {kept} snapshotter; {wanted} needs a root without any"
        )
    refused = ["the layers here are unpacked already"] if kept == "overlay" else []
    must = wanted or ("erofs" if kept == "erofs" else "")
    for name, attempt in (("erofs", _erofs), ("overlay", _overlay)):
        if must not in ("", name) or (name == "erofs" and kept == "overlay"):
            continue
        try:
            return attempt(root, refused)
        except OSError as error:
            refused.append(f"{name} does not work at {root}: {_said(error)}")
            if must:
                has = "was asked for" if wanted else "made the layers here"
                raise errors.Unsupported(f"{name} {has}, but {refused[-1]}") from error
    return Native(root, "it was asked for" if wanted else "; ".join(refused))


def _kept(root: str) -> str:
    """The kind of the layers, or containers, that are there."""
    for place in ("erofs/l/by-chain", "erofs/c", "overlay/l/by-chain", "overlay/c", "native"):
        try:
            if os.listdir(f"{root}/snapshots/{place}"):
                return "erofs" if place.startswith("erofs") else "overlay"
        except FileNotFoundError:
            continue
    return ""


def _said(error: OSError) -> str:
    notes = " ".join(getattr(error, "__notes__", ())).replace("\n", " ")
    return f"{error.strerror} ({notes})" if notes else str(error.strerror)


def _overlay(root: str, refused: list[str]) -> Snapshotter:
    overlay = Overlay(root)
    _try_overlay(overlay.empty(), overlay.empty())
    overlay.why = "; ".join(["overlayfs works here", *refused])
    return overlay


def _erofs(root: str, _refused: list[str]) -> Snapshotter:
    """Read as files, else by loop devices; held where overlayfs takes that, else attached."""
    snapshots = Erofs(root)
    place = f"{snapshots.empty()}.probe.{os.getpid()}.layer"
    try:
        tree = _mount_empty(snapshots, place)
    finally:
        if os.path.exists(place):
            os.unlink(place)
    try:
        _try_overlay(snapshots.empty(), snapshots.empty())
        try:
            _try_overlay(f"/proc/self/fd/{tree}", snapshots.empty())
        except OSError:
            snapshots.held = False
    finally:
        os.close(tree)
    how = "read as files" if snapshots.backing == "file" else "read through loop devices"
    where = "held by the engine" if snapshots.held else "attached on the host"
    snapshots.why = f"EROFS and overlayfs work here; layers are {how} and {where}"
    return snapshots


def _mount_empty(snapshots: Erofs, place: str) -> int:
    """A layer without anything, mounted the way that `snapshots` will use from now on."""
    fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        build.build(iter([bytes(1024)]), fd)
    finally:
        os.close(fd)
    try:
        return mounting.mount(place, snapshots.backing)
    except OSError as refused:
        snapshots.backing = "loop"
        try:
            return mounting.mount(place, snapshots.backing)
        except OSError as error:
            error.add_note(f"as a file: {_said(refused)}")
            raise


def _try_overlay(lower: str, place: str) -> None:
    """Make the mount that a container gets; nothing sees it, because it is attached nowhere."""
    top = f"{place}.probe.{os.getpid()}"
    for directory in ("", "/fs", "/work"):
        os.mkdir(top + directory)
    try:
        filesystem = mount.Filesystem("overlay")
        for key, value in (
            ("source", "overlay"),
            ("lowerdir", lower),
            ("upperdir", f"{top}/fs"),
            ("workdir", f"{top}/work"),
        ):
            filesystem.set(key, value)
        os.close(filesystem.mount())
    finally:
        discard(top)
