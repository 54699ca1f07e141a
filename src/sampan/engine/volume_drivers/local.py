"""Docker's `local` driver: a directory, or whatever mount(2) can bring to it.

    root/volumes/NAME/_data         the volume's files
    root/volumes/NAME/disk          the file system of one with `size`, which is mounted there

Options are Docker's: `type`, `device` and `o` are mount(8)'s -t, source and -o (`bind`, `tmpfs`,
`nfs` with `addr=`, any other type the kernel has), `size` bounds a plain volume. Where mount(8) has
a helper for a type (`mount.cifs`, `mount.fuse3`), or a loop device is asked for, it does the work.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from sampan.engine.volume_drivers import loop_image
from sampan.kit import errors
from sampan.linux import mount as linux_mount
from sampan.linux.mount import MNT
from sampan.runtime import options as mount_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.engine.volume_drivers import Wanted

OPTIONS = ("type", "device", "o", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


class MountFailed(errors.SampanError):
    def __init__(self, volume: Wanted, reason: str) -> None:
        device, kind = volume.options.get("device", "its image"), volume.options.get("type", "ext4")
        super().__init__(
            f"failed to mount local volume {volume.name}: mount {device} of type {kind}"
            f"{_with(volume.options)}: {reason}"
        )


def _with(options: Mapping[str, str]) -> str:
    return f' with "{_redacted(options["o"])}"' if options.get("o") else ""


def _redacted(text: str) -> str:
    """mount.cifs(8) takes its password among the options."""
    parts = (part.partition("=") for part in text.split(","))
    return ",".join(k + eq + ("***" if k in ("password", "pass") else v) for k, eq, v in parts)


class Local:
    name, scope = "local", "local"

    def __init__(self, root: str) -> None:
        self._top = f"{root}/volumes"

    def check(self, options: Mapping[str, str]) -> None:
        for key in options:
            if key not in OPTIONS:
                raise errors.InvalidArgument(f'invalid option: "{key}"')
            for needed in _NEEDS.get(key, ()):
                if not options.get(needed):
                    raise errors.InvalidArgument(f'missing required option: "{needed}"')
        if "size" in options:
            if "type" in options:
                raise errors.InvalidArgument(
                    'option "size" bounds a volume without a type; a tmpfs takes its size in "o"'
                )
            loop_image.check(options["size"])

    def create(self, volume: Wanted) -> None:
        self.check(volume.options)
        os.makedirs(self.mountpoint(volume.name), mode=0o755, exist_ok=True)

    def remove(self, volume: Wanted) -> None:
        self.unmount(volume)
        shutil.rmtree(f"{self._top}/{volume.name}", ignore_errors=True)

    def mountpoint(self, name: str) -> str:
        return f"{self._top}/{name}/_data"

    def lasting(self, volume: Wanted) -> bool:
        return "device" not in volume.options and "size" not in volume.options

    def mount(self, volume: Wanted) -> None:
        if self.lasting(volume) or volume.name in self.mounted():
            return
        try:
            if "size" in volume.options:
                self._mount_image(volume)
            else:
                _mount(volume.options, self.mountpoint(volume.name))
        except OSError as error:
            raise MountFailed(volume, _reason(error)) from error
        except subprocess.CalledProcessError as error:
            raise MountFailed(volume, loop_image.said(error)) from error

    def _mount_image(self, volume: Wanted) -> None:
        image, place = f"{self._top}/{volume.name}/disk", self.mountpoint(volume.name)
        if not os.path.exists(image):
            loop_image.make(image, loop_image.check(volume.options["size"]))
        loop_image.mount(image, place)

    def unmount(self, volume: Wanted) -> None:
        while volume.name in self.mounted():
            linux_mount.umount(self.mountpoint(volume.name), MNT.DETACH)

    def mounted(self) -> set[str]:
        """By the mount table (proc_pid_mountinfo(5)); a volume's name needs no unescaping."""
        top = os.path.realpath(self._top).replace(" ", "\\040")
        found = set()
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                place = line.split(" ", 5)[4]
                name, slash, data = place.removeprefix(f"{top}/").partition("/")
                if place.startswith(f"{top}/") and slash and data == "_data":
                    found.add(name)
        return found

    def status(self, volume: Wanted) -> dict[str, Any]:
        if "size" not in volume.options:
            return {}
        size = loop_image.check(volume.options["size"])
        found: dict[str, Any] = {"Quota": {"Size": size, "By": "loop image"}}
        if volume.name in self.mounted():
            there = os.statvfs(self.mountpoint(volume.name))
            found["Quota"]["Used"] = (there.f_blocks - there.f_bfree) * there.f_frsize
        return found


def _reason(error: OSError) -> str:
    """The kernel's words; getaddrinfo(3) has numbers of its own, below zero."""
    number = error.errno or 0
    return os.strerror(number).lower() if number > 0 else str(error.strerror)


def _mount(options: Mapping[str, str], place: str) -> None:
    kind, device, text = options["type"], options["device"], options.get("o", "")
    words = [word for word in text.split(",") if word]
    if "loop" in words or ("addr" not in _keys(words) and shutil.which(f"mount.{kind}")):
        loop_image.run("mount", "-t", kind, *(["-o", text] if text else []), device, place)
        return
    parsed = mount_options.parse(tuple(_resolved(words)))
    data = ",".join(parsed.data) or None
    linux_mount.mount(device, place, kind, parsed.flags, data)
    try:
        if parsed.flags & linux_mount.MS.BIND and parsed.flags & ~_BINDING:
            remount = linux_mount.MS.REMOUNT | linux_mount.MS.BIND
            linux_mount.mount(None, place, None, remount | parsed.flags & ~_BINDING)
        for propagation in parsed.propagation or (linux_mount.MS.PRIVATE,):
            linux_mount.mount(None, place, None, propagation)
    except OSError:
        with contextlib.suppress(OSError):
            linux_mount.umount(place, MNT.DETACH)
        raise


_BINDING = linux_mount.MS.BIND | linux_mount.MS.REC


def _keys(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words}


def _resolved(words: list[str]) -> list[str]:
    """The kernel takes addresses in `addr=`, never names (nfs(5))."""
    found = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "addr":
            try:
                value = str(socket.getaddrinfo(value, None)[0][4][0])
            except OSError as error:
                raise OSError(error.errno, f"cannot resolve {value}: {error.strerror}") from error
            word = f"addr={value}"
        found.append(word)
    return found
