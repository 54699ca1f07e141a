"""JSON for programs that live for milliseconds: the standard library's C code without its Python.

`json` imports `re` and `enum`, 4 to 6 ms; its scanner and its encoder stand alone. What is unusual
(an error to describe, another interpreter) goes to `json` itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}


def loads(text: str | bytes) -> Any:
    """Decode one document; raises ValueError (json.JSONDecodeError)."""
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value, end = _scan(text, len(text) - len(text.lstrip(" \t\r\n")))
        if not text[end:].strip(" \t\r\n"):
            return value
    except Exception:
        pass
    import json

    return json.loads(text)


def dumps(value: object) -> str:
    """Encode on one line, non-ASCII characters as they are."""
    try:
        return "".join(_encode(value, 0))
    except Exception:
        import json

        return json.dumps(value, ensure_ascii=False)


def pretty(value: object, indent: int = 2) -> str:
    """Encode over many lines, as `json.dumps(value, indent=indent)` does."""
    return _lines(value, " " * indent, "\n")


def _lines(value: object, step: str, newline: str) -> str:
    inner = newline + step
    if isinstance(value, dict) and value:
        rows = [f"{dumps(str(key))}: {_lines(one, step, inner)}" for key, one in value.items()]
        return f"{{{inner}{f',{inner}'.join(rows)}{newline}}}"
    if isinstance(value, (list, tuple)) and value:
        rows = [_lines(one, step, inner) for one in value]
        return f"[{inner}{f',{inner}'.join(rows)}{newline}]"
    return dumps(value)


def _unavailable(*_: object) -> Any:
    raise ValueError


_scan: Any = _unavailable
_encode: Any = _unavailable
try:
    import _json

    c: Any = _json
    _scan = c.make_scanner(_Context)
    _encode = c.make_encoder(None, None, c.encode_basestring, None, ":", ",", False, False, True)
except Exception:  # another interpreter, or a later one that changed them
    pass
