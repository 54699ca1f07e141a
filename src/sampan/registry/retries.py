"""When to try again, as decisions: which answers, how often, after how long.

    patience = Patience(tries=6)
    while True:
        try: …
        except errors.Unavailable as error: await pause(patience.again(error, progress=…))

Requests, downloads and uploads all wait by this one policy.
"""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.kit import errors

STATUSES = frozenset({408, 429, 500, 502, 503, 504})
LONGEST = 60.0  # seconds; a server that asks for more is not waited for


class Patience:
    """`tries` is how often in a row something may fail without having brought anything new."""

    def __init__(self, tries: int) -> None:
        self._tries, self._failed = tries, 0

    def again(
        self, error: errors.SampanError, *, progress: bool = False, lasting: bool = False
    ) -> float:
        """Seconds to wait: as long as the server asked for, else our own time.

        Raises the error where another try is pointless (`lasting`), one too many, or too far off.
        """
        self._failed = 0 if progress else self._failed + 1
        asked: float | None = getattr(error, "retry_after", None)
        if lasting or self._failed >= self._tries or (asked or 0) > LONGEST:
            raise error
        return backoff(max(self._failed - 1, 0)) if asked is None else asked


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
