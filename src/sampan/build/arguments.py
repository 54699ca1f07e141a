"""How one instruction's text becomes its arguments: flags, words, pairs, JSON arrays.

Pure functions of one logical line. Quotes stay in words and pairs: they are resolved
later, together with the variables; a flag's quotes go at once.
"""

from __future__ import annotations

import json
import re

from sampan.build.errors import DockerfileError

SPACES = re.compile(r"[\t\v\f\r ]+")


def keyword(line: str) -> tuple[str, str]:
    parts = SPACES.split(line.strip(), maxsplit=1)
    return parts[0], parts[1] if len(parts) == 2 else ""


def flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The `--name[=value]` words at the beginning, and the rest; a bare `--` ends them."""
    found: list[str] = []
    at = 0
    while True:
        at = _after_spaces(text, at)
        if not text.startswith("--", at):
            return tuple(found), text[at:].strip()
        word, quoted, at = _flag(text, at, escape)
        if word == "--":
            return tuple(found), text[at:].strip()
        if word or quoted:
            found.append(word)


def _after_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _flag(text: str, at: int, escape: str) -> tuple[str, bool, int]:
    word, quote, quoted = "", "", False
    while at < len(text):
        char = text[at]
        if not quote and char.isspace():
            break
        at += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, quoted = char, True
        elif char == escape:
            word += text[at : at + 1]
            at += 1
        else:
            word += char
    return word, quoted, at


def words(text: str, escape: str) -> list[str]:
    """Split at spaces; quotes and escapes protect and stay."""
    found: list[str] = []
    at = _after_spaces(text, 0)
    while at < len(text):
        word, at = _word(text, at, escape)
        if word:
            found.append(word)
        at = _after_spaces(text, at)
    return found


def _word(text: str, at: int, escape: str) -> tuple[str, int]:
    word, quote = "", ""
    while at < len(text):
        char = text[at]
        if not quote and char.isspace():
            break
        at += 1
        if char == escape and quote != "'":
            if at == len(text):
                break  # an escape at the very end is nothing
            char += text[at]
            at += 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        word += char
    return word, at


def pairs(text: str, escape: str, instruction: str) -> list[tuple[str, str, str]]:
    """(name, value, "=") of `a=b c="d e"`; or one with "" of the old `name all the rest`."""
    found = words(text, escape)
    if not found:
        return []
    if "=" not in found[0]:
        parts = SPACES.split(text, maxsplit=1)
        if len(parts) < 2:
            raise DockerfileError(f"{instruction} must have two arguments")
        return [(parts[0], parts[1], "")]
    result = []
    for word in found:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        result.append((name, value, "="))
    return result


def json_array(text: str) -> list[str] | None:
    """The strings of an exec form; None where it is none and the shell form applies."""
    text = text.lstrip()
    if not text.startswith("["):
        return None
    try:
        document = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in document):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return [str(item) for item in document]


def _not_json(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
