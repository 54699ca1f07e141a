"""`--chmod`: octal, or symbolic as chmod(1) has it (`u=rwX,go-w`); no umask takes part."""

from __future__ import annotations

import re

from sampan.build.errors import DockerfileError

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111, "s": 0o6000, "t": 0o1000}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}


def check(text: str) -> None:
    if octal(text) is None and not all(_CLAUSE.fullmatch(part) for part in text.split(",")):
        raise DockerfileError(f'invalid chmod parameter: "{text}": neither octal nor symbolic')


def changed(text: str, mode: int, *, directory: bool) -> int:
    """The mode that `text`, which `check` has passed, makes of this one."""
    number = octal(text)
    if number is not None:
        return number
    for clause in text.split(","):
        who, actions = _CLAUSE.fullmatch(clause).groups()  # type: ignore[union-attr]
        reach = 0
        for name in who or "a":
            reach |= _WHO[name]
        for sign, letters in _ACTION.findall(actions):
            bits = _bits(letters, mode, directory) & reach
            kept = mode & ~(reach & 0o1777 if directory else reach)
            mode = {"+": mode | bits, "-": mode & ~bits, "=": kept | bits}[sign]
    return mode


def octal(text: str) -> int | None:
    """The mode, if it is written as a number."""
    return int(text, 8) if re.fullmatch(r"0*[0-7]{1,4}", text) else None


def _bits(letters: str, mode: int, directory: bool) -> int:
    found = 0
    for letter in letters:
        if letter in _SHIFT:
            found |= (mode >> _SHIFT[letter] & 7) * 0o111
        elif letter != "X" or directory or mode & 0o111:
            found |= _BITS[letter]
    return found
