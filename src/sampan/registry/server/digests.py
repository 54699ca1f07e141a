"""Digests as text: `sha256:` and 64 lower-case hex digits, or `sha512:` and 128."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from sampan.registry.server import errors

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHMS = {"sha256": 64, "sha512": 128}
_FORM = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


def check(text: str) -> str:
    """The same text; raises DIGEST_INVALID."""
    if not _FORM.fullmatch(text):
        raise errors.digest_invalid(text)
    return text


def looks_like(reference: str) -> bool:
    """A reference with a colon is meant as a digest: tags have none."""
    return ":" in reference


def hasher(algorithm: str) -> _Hash:
    if algorithm not in ALGORITHMS:
        raise errors.digest_invalid(algorithm, "is no digest algorithm this registry knows")
    return hashlib.new(algorithm)


def of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
