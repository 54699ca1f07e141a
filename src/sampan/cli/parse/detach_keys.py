"""`--detach-keys ctrl-p,ctrl-q`: letters, or `ctrl-` and one of `a-z @ ^ [ \\ , _`."""

from __future__ import annotations

_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def sequence(text: str) -> bytes:
    """The bytes that the keys send; none for an empty text."""
    return bytes(_key(key) for key in text.split(",")) if text else b""


def _key(key: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    if key.startswith("ctrl-") and len(key) == 6:
        letter = key[5].lower()
        if "a" <= letter <= "z":
            return ord(letter) - ord("a") + 1
        if letter in _CONTROL:
            return _CONTROL[letter]
    raise ValueError(f"unknown character: '{key}'")
