"""JSON for a program that lives 20 ms.

`import json` loads `re`, `enum` and `functools`: 6 ms. Its C core can be used without them. Where
an interpreter's core differs from what is expected here, the real `json` takes over.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    loads: Callable[[str | bytes], Any]
    dumps: Callable[[object], str]

_WHITESPACE = " \t\r\n"


class _Context:
    """What `_json.make_scanner` reads; the values are `json.JSONDecoder`'s defaults."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def _light() -> tuple[Callable[[str | bytes], Any], Callable[[object], str]]:
    import _json

    scan = _json.make_scanner(_Context())  # type: ignore[arg-type]
    encode = _json.make_encoder(
        None, _refuse, _json.encode_basestring, None, ":", ",", False, False, False
    )

    def loads(text: str | bytes) -> Any:
        if not isinstance(text, str):
            text = text.decode()
        start, size = 0, len(text)
        while start < size and text[start] in _WHITESPACE:
            start += 1
        try:
            value, end = scan(text, start)
        except StopIteration:
            raise ValueError(f"{text[:60]!r} is no JSON") from None
        if text[end:].strip(_WHITESPACE):
            raise ValueError(f"{text[end : end + 60]!r} follows a JSON document")
        return value

    def dumps(value: object) -> str:
        return "".join(encode(value, 0))

    if loads(dumps({"a": [1, 2.5, None, "é"]})) != {"a": [1, 2.5, None, "é"]}:
        raise ImportError("this interpreter's _json is unknown")
    return loads, dumps


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _ordinary() -> tuple[Callable[[str | bytes], Any], Callable[[object], str]]:
    import json

    return json.loads, lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)


try:
    loads, dumps = _light()
except (ImportError, AttributeError, TypeError, ValueError):
    loads, dumps = _ordinary()
