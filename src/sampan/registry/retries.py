"""When to try again, as decisions: which answers, after how long."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

STATUSES = frozenset({408, 429, 500, 502, 503, 504})
LONGEST = 60.0  # seconds; a server that asks for more is not waited for


def backoff(attempt: int) -> float:
    """Seconds before try `attempt` + 1: at most 0.25, 0.5, 1, 2, 4, 4, …, at least half of that.

    By chance, so that many clients whom one failure has hit do not come back all at once.
    """
    return min(0.25 * float(2**attempt), 4.0) * random.uniform(0.5, 1.0)


def retry_after(value: str | None, now: float) -> float | None:
    """A Retry-After header (RFC 9110, 10.2.3) as seconds from `now` (since 1970)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
