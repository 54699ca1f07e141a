"""How much disk things take: what `system df` and the prune commands count."""

from __future__ import annotations

import os

from sampan.kit.record import Record


class Usage(Record):
    size: int = 0  # bytes of file contents, a hard-linked file once
    inodes: int = 0


def of_tree(path: str) -> Usage:
    """What a directory tree holds; 0 where it is gone. Blocking: walks the disk."""
    size = inodes = 0
    linked: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                if (status.st_dev, status.st_ino) in linked:
                    continue
                linked.add((status.st_dev, status.st_ino))
            inodes += 1
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                size += status.st_size
    return Usage(size=size, inodes=inodes)
