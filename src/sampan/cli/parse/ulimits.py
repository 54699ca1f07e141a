"""`--ulimit NAME=SOFT[:HARD]`, -1 for no limit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip


def parse(text: str) -> dict[str, Any]:
    name, equals, limits = text.partition("=")
    if not equals or not limits:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in NAMES:
        raise ValueError(f"invalid ulimit type: {name}")
    numbers = limits.split(":")
    if len(numbers) > 2:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two")
    soft, hard = _number(numbers[0]), _number(numbers[-1])
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(
            "ulimit soft limit must be less than or equal to hard limit: "
            f"{numbers[0]} > {numbers[-1]}"
        )
    return {"Name": name, "Hard": hard, "Soft": soft}


def _number(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"the limit {text!r} is no whole number") from None
    if value < -1:
        raise ValueError(f"the limit {text} is below -1")
    return value
