"""Times as the container world writes them: RFC 3339 with nanoseconds, always in UTC."""

from __future__ import annotations

import time

ZERO = "0001-01-01T00:00:00Z"  # Go's zero time, which Docker shows for "never"


def now() -> str:
    """The present, as `2026-11-21T04:07:00.123456789Z`."""
    return rfc3339(time.time_ns())


def rfc3339(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as RFC 3339; trailing zeros of the fraction are kept."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    t = time.gmtime(seconds)
    return (
        f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T"
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}.{fraction:09}Z"
    )


def parse(text: str) -> int:
    """RFC 3339 (`Z` or a numeric offset, up to nine digits) as nanoseconds since 1970.

    Raises ValueError where the text is something else.
    """
    import calendar

    head, offset = text, 0
    if head.endswith(("Z", "z")):
        head = head[:-1]
    elif len(head) > 6 and head[-3] == ":" and head[-6] in "+-":
        sign = -1 if head[-6] == "-" else 1
        offset = sign * (int(head[-5:-3]) * 3600 + int(head[-2:]) * 60)
        head = head[:-6]
    head, _, fraction = head.partition(".")
    if fraction and not (fraction.isdecimal() and len(fraction) <= 9):
        raise ValueError(f"{text!r} is no RFC 3339 time")
    try:
        date, _, day_time = head.replace("t", "T").partition("T")
        year, month, day = map(int, date.split("-"))
        hour, minute, second = map(int, day_time.split(":"))
    except ValueError:
        raise ValueError(f"{text!r} is no RFC 3339 time") from None
    seconds = calendar.timegm((year, month, day, hour, minute, second)) - offset
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or "0")
