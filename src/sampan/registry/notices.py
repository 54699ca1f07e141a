"""What a registry wants its users to read: Warning headers (distribution-spec 1.1, "Warnings")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Code 299 of the agent "-", and no date: anything else is to be ignored.
_WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
_LONGEST = 4096  # bytes of all warnings of an answer; the specification's most


def read(headers: Iterable[str]) -> list[str]:
    """The sentences, in order; control characters (a terminal would obey) become spaces."""
    found = []
    for header in headers:
        match = _WARNING.fullmatch(header.strip())
        if match is not None and len(header) <= _LONGEST:
            text = re.sub(r"\\(.)", r"\1", match[1])
            found.append("".join(c if c.isprintable() else " " for c in text))
    return found
