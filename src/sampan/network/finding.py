"""What a doctor says: the one noun of `doctor` and its parts."""

from __future__ import annotations

from sampan.kit.record import Record


class Finding(Record):
    level: str  # ok, note, wrong
    about: str  # "host", "network NAME", "port 8080/tcp"
    text: str
