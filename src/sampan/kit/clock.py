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


_RFC_3339 = (
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:[Zz]|([+-])(\d\d):(\d\d))?"
)


def parse(text: str) -> int:
    """RFC 3339 (`Z` or a numeric offset, up to nine digits) as nanoseconds since 1970.

    Raises ValueError where the text is something else.
    """
    import calendar
    import re

    found = re.fullmatch(_RFC_3339, text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is no RFC 3339 time")
    *moment, fraction, sign, hours, minutes = found.groups()
    offset = int(f"{sign or ''}{int(hours or 0) * 3600 + int(minutes or 0) * 60}")
    year, month, day, hour, minute, second = map(int, moment)
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError(f"{text!r} is no time of a day")
    seconds = calendar.timegm((year, month, day, hour, minute, second)) - offset
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))
