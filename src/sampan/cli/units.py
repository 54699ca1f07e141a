"""Sizes and times as people write and read them: Docker's spellings."""

from __future__ import annotations

import time

_BINARY = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_DECIMAL_NAMES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY_NAMES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}


def parse_bytes(text: str) -> int:
    """`512m`, `1.5g`, `64KiB`, `1024`: bytes, in powers of 1024."""
    body = text.strip().lower()
    number = body.rstrip("bikmgtp ")
    suffix = body[len(number) :].strip()
    if (suffix.endswith("ib") and len(suffix) == 3) or (suffix.endswith("b") and len(suffix) == 2):
        suffix = suffix[:1]
    if suffix not in _BINARY or not number.replace(".", "", 1).isdecimal():
        raise ValueError(f"invalid size: '{text}'")
    return int(float(number) * 1024 ** _BINARY[suffix])


def parse_duration(text: str) -> int:
    """Go's durations, `1h2m3.5s`, as nanoseconds."""
    rest = text[1:] if text[:1] in "+-" else text
    sign = -1 if text.startswith("-") else 1
    if rest == "0":
        return 0
    total, left = 0.0, rest
    while left:
        number = _leading(left, "0123456789.")
        unit = _leading(left[len(number) :], "nuµmsh")
        if unit not in _DURATIONS:  # "1m30s" has no such trouble: digits end a unit
            unit = next((u for u in ("ms", "s", "m", "h") if unit.startswith(u)), "")
        if not number.replace(".", "", 1).isdecimal() or not unit:
            raise ValueError(f'invalid duration "{text}" (write 300ms, 1.5h or 2h45m)')
        total += float(number) * _DURATIONS[unit]
        left = left[len(number) + len(unit) :]
    if not rest:
        raise ValueError('invalid duration ""')
    return sign * round(total)


def _leading(text: str, allowed: str) -> str:
    return text[: len(text) - len(text.lstrip(allowed))]


def _scaled(size: float, base: float, names: tuple[str, ...], digits: int) -> str:
    index = 0
    while size >= base and index < len(names) - 1:
        size /= base
        index += 1
    return f"{size:.{digits}g}{names[index]}"


def size(size_: float, digits: int = 4) -> str:
    """Powers of 1000: `1.24MB`."""
    return _scaled(float(size_), 1000.0, _DECIMAL_NAMES, digits)


def binary_size(size_: float) -> str:
    """Powers of 1024: `7.6MiB`."""
    return _scaled(float(size_), 1024.0, _BINARY_NAMES, 4)


def span(seconds: float) -> str:
    """Docker's rough spans: `3 minutes`, `About an hour`, `2 weeks`."""
    s = int(seconds)
    minutes, hours = int(seconds / 60), int(seconds / 3600 + 0.5)
    days = hours // 24
    steps: tuple[tuple[bool, str], ...] = (
        (s < 1, "Less than a second"),
        (s == 1, "1 second"),
        (s < 60, f"{s} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{days} days"),
        (hours < 24 * 30 * 2, f"{days // 7} weeks"),
        (hours < 24 * 365 * 2, f"{days // 30} months"),
    )
    for fits, text in steps:
        if fits:
            return text
    return f"{int(seconds / 3600) // 24 // 365} years"


def ago(when: float, now: float | None = None) -> str:
    """`span` of the time since `when` (seconds since 1970), and the word."""
    return f"{span((time.time() if now is None else now) - when)} ago"


def go_time(seconds: float, nanoseconds: int = 0) -> str:
    """Go's own form of a local time, `2026-11-21 04:07:00 +0000 UTC`."""
    local = time.localtime(seconds)
    offset = local.tm_gmtoff // 60
    sign = "-" if offset < 0 else "+"
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", local)
    zone = f"{sign}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    return f"{stamp}{fraction} {zone} {local.tm_zone}"
