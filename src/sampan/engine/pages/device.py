"""A layer file as a block device while its bytes come, and afterwards.

The device is a loop device. Its file is at first one of ours, which the kernel reads through FUSE;
when the layer is whole LOOP_CHANGE_FD puts the layer file in its place under whoever has it
mounted. EROFS over fanotify's pre-content events would be faster, but gives zeros when the server
dies (docs/decisions/0007-lazy-pull.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import fuse, loop

if TYPE_CHECKING:
    from sampan.engine.pages.source import Source

log = logging.getLogger("sampan.pages")


class Device:
    def __init__(self, size: int, source: Source, what: str) -> None:
        """`what` names the layer in the log."""
        self._size, self._source, self._what = size, source, what
        self._device = -1
        self._answers: set[asyncio.Task[None]] = set()

    @property
    def descriptor(self) -> int:
        """A descriptor that keeps readers waiting when this process dies."""
        return self._file.fileno()

    async def open(self, name: str, old: str, inherited: int) -> str:
        """The device's path. `old` is the one before, taken again if it is still named so;
        `inherited` the FUSE file behind it as another server left it, or -1; ours from here on."""
        device = _named(name, old)
        if inherited >= 0 and device >= 0:
            self._file = fuse.File(self._size, inherited)
            try:
                self._file.again()
            except OSError:  # before Linux 6.9: what was asked for and not answered is lost
                pass
            else:
                self._device = device
                asyncio.get_running_loop().add_reader(inherited, self._ready)
                return old
        if inherited >= 0:
            os.close(inherited)
        self._file = fuse.File(self._size)
        mounted = self._file.mount()  # before it the kernel has nothing to ask
        asyncio.get_running_loop().add_reader(self._file.fileno(), self._ready)
        return await in_thread(self._attach, mounted, name, old, device)

    def _attach(self, mounted: int, name: str, old: str, device: int) -> str:
        try:
            file = os.open(f"/proc/self/fd/{mounted}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(mounted)
        try:
            if device >= 0:
                path, self._device = old, device
                loop.change(device, file)
            else:
                path, self._device = loop.attach(file, name)
            with contextlib.suppress(OSError):  # it is only faster
                loop.read_directly(self._device, on=True)
            return path
        finally:
            os.close(file)

    async def hand_over(self, file: int) -> None:
        """From here on the device shows this file; nobody asks us any more."""
        await in_thread(loop.change, self._device, file)
        with contextlib.suppress(OSError):
            await in_thread(loop.read_directly, self._device, on=False)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file.fileno())
        for task in self._answers:
            task.cancel()
        self._file.close()
        if self._device >= 0:
            os.close(self._device)

    # -- answering the kernel

    def _ready(self) -> None:
        try:
            while True:
                read = self._file.receive()
                if read is not None:
                    self._begin(read)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            asyncio.get_running_loop().remove_reader(self._file.fileno())  # nobody has it open

    def _begin(self, read: fuse.Read) -> None:
        data = self._source.at_hand(read.offset, read.size)
        if data is not None:
            self._file.answer(read, data)
            return
        task = asyncio.get_running_loop().create_task(self._answer(read))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, read: fuse.Read) -> None:
        try:
            data = await self._source.read(read.offset, read.size)
        except (errors.SampanError, OSError) as error:
            log.error("%s: a reader gets an I/O error: %s", self._what, error)
            self._file.fail(read, errno.EIO)
        else:
            self._file.answer(read, data)


def _named(name: str, path: str) -> int:
    """A descriptor of the loop device there, if it has that name; else -1."""
    try:
        device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    if loop.name_of(device) == name:
        return device
    os.close(device)
    return -1
