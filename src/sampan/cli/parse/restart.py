"""`--restart no|always|unless-stopped|on-failure[:MAX]`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES = ("no", "always", "unless-stopped", "on-failure")


def parse(text: str) -> dict[str, Any]:
    name, colon, count = text.partition(":")
    if name not in NAMES:
        raise ValueError(f"unknown restart policy: '{text}'; use one of {', '.join(NAMES)}")
    if colon and name != "on-failure":
        raise ValueError("maximum retry count cannot be used with restart policy '" + name + "'")
    if colon and not count.isdecimal():
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or "0")}
