"""Points in time as `--since` and `--until` take them."""

from __future__ import annotations

import time

from sampan.cli import units
from sampan.kit import clock, errors


def parse(text: str, now: float) -> str | None:
    """`42m` (ago), RFC 3339 or its beginning, or Unix seconds, as the API's `SECONDS.NANOS`."""
    if not text:
        return None
    whole, _, fraction = text.partition(".")
    if whole.isdecimal() and (fraction.isdecimal() or not fraction):
        return text
    try:
        nanoseconds = round(now * 10**9) - units.parse_duration(text)
    except ValueError:
        nanoseconds = _date(text)
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def _date(text: str) -> int:
    """Nanoseconds since 1970. A date without a zone is local time."""
    date, _, hour = text.partition("T")
    padded = f"{date}T{hour}{'00:00:00'[len(hour) :] if len(hour) < 8 else ''}"
    try:
        if padded.endswith("Z") or padded[-6:-5] in ("+", "-"):
            return clock.parse(padded)
        utc = clock.parse(f"{padded}Z")
    except ValueError:
        raise errors.InvalidArgument(
            f'failed to parse value as time or duration: "{text}"'
        ) from None
    offset = time.localtime(utc // 10**9).tm_gmtoff
    return utc - offset * 10**9
