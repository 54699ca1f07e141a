"""The bundle's `exit.json`: how a container ended, told to engines that were not there."""

from __future__ import annotations

import json
import os

from sampan.kit import atomic
from sampan.shim.protocol import ExitRecord

NAME = "exit.json"


def write(bundle: str, record: ExitRecord) -> None:
    """Atomically, but without fsync: it may be lost in a power cut, as the container would be."""
    data = json.dumps(record.message()).encode() + b"\n"
    atomic.write(os.path.join(bundle, NAME), data, mode=0o600, sync=False)


def read(bundle: str) -> ExitRecord | None:
    """None where there is none, or (after a power cut) an empty one."""
    try:
        with open(os.path.join(bundle, NAME), "rb") as file:
            return ExitRecord(**json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def clear(bundle: str) -> None:
    """Before a new start."""
    try:
        os.unlink(os.path.join(bundle, NAME))
    except FileNotFoundError:
        pass
