"""TEMPORARY stand-in for the image room's snapshotter: directories and overlay."""

from __future__ import annotations

import os
import shutil
from typing import Any

from sampan.spec.oci_runtime import Mount


class Usage:
    bytes = 0
    inodes = 0


class Standin:
    def __init__(self, root: str) -> None:
        self.root = root + "/snapshots"
        os.makedirs(self.root, exist_ok=True)

    def layer(self, chain_id: str) -> str:
        return f"{self.root}/{chain_id.partition(':')[2]}"

    def prepare(self, key: str, parent: str | None) -> None:
        for d in ("upper", "work"):
            os.makedirs(f"{self.root}/{key}/{d}")
        with open(f"{self.root}/{key}/parent", "w") as f:
            f.write(parent or "")

    def mounts(self, key: str) -> list[Mount]:
        with open(f"{self.root}/{key}/parent") as f:
            parent = f.read()
        d = f"{self.root}/{key}"
        return [
            Mount(
                destination="/",
                type="overlay",
                source="overlay",
                options=(
                    f"lowerdir={self.layer(parent)}",
                    f"upperdir={d}/upper",
                    f"workdir={d}/work",
                ),
            )
        ]

    def remove(self, key: str) -> None:
        shutil.rmtree(f"{self.root}/{key}", ignore_errors=True)

    def usage(self, key: str) -> Any:
        return Usage()

    def changes(self, key: str) -> list[Any]:
        return []
