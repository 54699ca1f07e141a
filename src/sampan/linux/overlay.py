"""An overlay of more layers than mount(2) has room for, on any kernel that has the file system.

mount(2) takes one page of options, which forty long paths fill, and a layer that is a parameter of
its own (`lowerdir+`) came with Linux 6.7. So the layers are opened, and named by what /proc calls
their descriptors: that is short, whatever their paths. They are needed for the call only.

    overlay.mount("/merged", ("lowerdir=/b:/a", "upperdir=/c", "workdir=/w"))

In `lowerdir` the topmost layer is first; options: Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import errno
import os

from sampan.linux import files
from sampan.linux import mount as mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_PAGE = 4096  # more would be cut off without a word, and other layers be mounted


def mount(target: str, options: Sequence[str], flags: int = 0) -> None:
    """Raises OSError; where a layer cannot be opened its path is `filename`, and more than about
    220 layers are E2BIG. A process needs as many free descriptors as there are layers."""
    opened = []

    def short(path: str) -> str:
        opened.append(os.open(path, _DIRECTORY))
        return files.magic(opened[-1])

    try:
        named = []
        for option in options:
            key, _, value = option.partition("=")
            if key == "lowerdir":
                option = f"lowerdir={':'.join([short(layer) for layer in value.split(':')])}"
            elif key in ("upperdir", "workdir"):
                option = f"{key}={short(value)}"
            named.append(option)
        data = ",".join(named)
        if len(data.encode()) >= _PAGE:
            raise OSError(errno.E2BIG, f"{len(opened)} layers are too many for one mount", target)
        mounts.mount("overlay", target, "overlay", flags, data)
    finally:
        for fd in opened:
            os.close(fd)
