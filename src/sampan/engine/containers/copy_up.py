"""An empty volume is filled with what the image has at its place (`nocopy` prevents it).

    copy_up(volume, layers, "/var/lib/app")         blocking: call in a thread

`layers`: the image's directories, top first, in overlayfs's language: a 0:0 character device hides
what is below it, an opaque directory all that is below that. A path that leads through a link is
left alone.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from sampan.engine import file_copies
from sampan.image import layers as image_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def wanted(volume: str) -> bool:
    return not os.listdir(volume)


def copy_up(volume: str, layers: Sequence[str], where: str) -> None:
    """Files keep owner, mode, times, extended attributes and the links among them."""
    stack = list(layers)
    for step in where.strip("/").split("/"):
        stack = _below(stack, step)
    if stack:
        _copy_directory(stack, volume, {})


def _below(stack: list[str], name: str) -> list[str]:
    """The directories that are merged at `name`; none where the topmost there is none."""
    found = []
    for directory in stack:
        path = f"{directory}/{name}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(status.st_mode):
            break
        found.append(path)
        if image_layers.is_opaque(path):
            break
    return found


def _entries(stack: list[str]) -> Iterator[tuple[str, str]]:
    """(name, path) of what is visible in the merged directory."""
    seen: set[str] = set()
    for directory in stack:
        for name in sorted(os.listdir(directory)):
            if name not in seen:
                seen.add(name)
                path = f"{directory}/{name}"
                if not image_layers.is_whiteout(os.lstat(path)):
                    yield name, path


def _copy_directory(stack: list[str], target: str, linked: dict[tuple[int, int], str]) -> None:
    for name, path in _entries(stack):
        copy = f"{target}/{name}"
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(copy, 0o700)
            _copy_directory(_below(stack, name), copy, linked)
        else:
            file_copies.file(path, copy, status, linked)
    file_copies.attributes(stack[0], target)
