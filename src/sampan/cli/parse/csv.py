"""`key=value,"key=with,comma"`: the comma lists inside `--mount`, `--network` and others."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def fields(text: str) -> list[str]:
    """Split at commas outside double quotes; a doubled quote inside them is one quote."""
    found, field, quoted = [], "", False
    index = 0
    while index < len(text):
        character = text[index]
        if quoted and character == '"' and text[index + 1 : index + 2] == '"':
            field, index = field + '"', index + 1
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            found.append(field)
            field = ""
        else:
            field += character
        index += 1
    if quoted:
        raise ValueError("a quote is not closed")
    return [*found, field]


def pairs(text: str, flags: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """(key, value) of each field; those in `flags` may stand alone, their value is then ""."""
    for field in fields(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals and key not in flags:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        yield key, value
