"""Shell patterns of `${name#pattern}` and its like: `*`, `?` and a backslash, no brackets.

A pattern is a list of tokens, so that it can be turned round: a regular expression finds the
shortest match from the left only; the shortest suffix is the mirror image's shortest prefix.
POSIX, Shell Command Language, 2.13 Pattern Matching Notation.
"""

from __future__ import annotations

import re

from sampan.build.errors import ExpansionFailed


def _tokens(pattern: str) -> list[str]:
    """Each token is `*`, `?` or a backslash and one literal character."""
    tokens, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\":
            char = pattern[at : at + 1]
            at += 1
            if not char or char not in "*?\\}/":
                raise ExpansionFailed(f"invalid pattern ({pattern}): invalid escape '\\{char}'")
            tokens.append("\\" + char)
        else:
            tokens.append(char if char in "*?" else "\\" + char)
    return tokens


def _regex(tokens: list[str], greedy: bool) -> re.Pattern[str]:
    special = {"*": ".*" if greedy else ".*?", "?": "."}
    return re.compile("".join(special.get(token) or re.escape(token[1:]) for token in tokens))


def without_prefix(pattern: str, value: str, longest: bool) -> str:
    found = _regex(_tokens(pattern), longest).match(value)
    return value[found.end() :] if found else value


def without_suffix(pattern: str, value: str, longest: bool) -> str:
    found = _regex(_tokens(pattern)[::-1], longest).match(value[::-1])
    return value[: len(value) - found.end()] if found else value


def replaced(pattern: str, value: str, replacement: str, everywhere: bool) -> str:
    """An empty match right behind another one is none, as in RE2 and bash."""
    pieces, done, last = [], 0, -1
    for found in _regex(_tokens(pattern), True).finditer(value):
        if found.start() == found.end() == last:
            continue
        pieces += [value[done : found.start()], replacement]
        done = last = found.end()
        if not everywhere:
            break
    return "".join([*pieces, value[done:]])
