"""`HEALTHCHECK [--interval …] CMD command` or `HEALTHCHECK NONE`."""

from __future__ import annotations

import re

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import Flags, Instruction, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement

_FLAGS = Flags(strings=("interval", "timeout", "start-period", "start-interval", "retries"))
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6,
    "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip


class Healthcheck(Instruction):
    """Times in nanoseconds, as the image's config has them; 0 is the engine's default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


def parse(statement: Statement) -> Healthcheck:
    if not statement.args:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, *command = statement.args
    kind = kind.upper()
    if kind == "NONE":
        if command:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(statement=statement, test=("NONE",))
    flags = _FLAGS.read(statement)
    if kind != "CMD":
        raise DockerfileError(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    if not command:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        statement=statement,
        test=("CMD" if statement.json else "CMD-SHELL", *command),
        interval=_duration("interval", string(flags, "interval")),
        timeout=_duration("timeout", string(flags, "timeout")),
        start_period=_duration("start-period", string(flags, "start-period")),
        start_interval=_duration("start-interval", string(flags, "start-interval")),
        retries=_retries(string(flags, "retries")),
    )


def _duration(name: str, text: str) -> int:
    if text in ("", "0"):
        return 0
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text.removeprefix("+"):
        raise DockerfileError(f'invalid duration "{text}" in --{name} (try 30s or 1m30s)')
    total = int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))
    if 0 < total < 10**6:
        raise DockerfileError(f'Interval "{name}" cannot be less than 1ms')
    return total


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?\d+", text):
        raise DockerfileError(f'invalid --retries "{text}": not a number')
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({text})")
    return int(text)
