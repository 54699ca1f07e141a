"""Which process of this host has a port: proc(5), /proc/net/tcp and the descriptors behind it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = {"tcp": "0A", "udp": "07"}  # the kernel's TCP_LISTEN; TCP_CLOSE of an unconnected one


def processes(port: int, protocol: str) -> list[str]:
    """Names and ids of those that listen in this thread's network namespace, if we may see them."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port, protocol)}
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc") if inodes else ()):
        if inodes & set(_descriptors(pid)):
            found.append(f"{_name(pid)} (process {pid})")
    return found


def _inodes(port: int, protocol: str) -> Iterator[str]:
    for family in ("", "6"):
        try:
            with open(f"/proc/thread-self/net/{protocol}{family}") as file:
                lines = file.read().splitlines()[1:]
        except FileNotFoundError:
            continue
        for words in map(str.split, lines):
            if int(words[1].rpartition(":")[2], 16) == port and words[3] == _LISTEN.get(protocol):
                yield words[9]


def _descriptors(pid: str) -> Iterator[str]:
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            yield os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return  # it has ended, or is none of ours to look at


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return "a process that has ended"
