"""The functions of a bake file: those of HCL's standard library that such files call."""

from __future__ import annotations

import binascii
import hashlib
import json
import math
import posixpath
import re

from sampan.cli.bake import hcl
from sampan.kit import errors, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def call(name: str, values: list[Any]) -> Any:
    """Raises InvalidArgument for an unknown name or arguments that do not fit."""
    if name not in KNOWN:
        guess = nearest.one(name, KNOWN)
        hint = f" (did you mean {guess}?)" if guess else ""
        raise errors.InvalidArgument(f'there is no function "{name}"{hint}')
    try:
        return KNOWN[name](*values)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError) as why:
        raise errors.InvalidArgument(f"{name}(): {why}") from None


def _replace(text: str, old: str, new: str) -> str:
    if len(old) > 1 and old.startswith("/") and old.endswith("/"):
        return re.sub(old[1:-1], re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", new), text)
    return text.replace(old, new)


def _regex(pattern: str, text: str) -> Any:
    found = re.search(pattern, text)
    if not found:
        raise ValueError("the pattern does not match")
    return found.groupdict() or ([*found.groups()] if found.re.groups else found[0])


def _regexall(pattern: str, text: str) -> list[Any]:
    return [_regex(pattern, found[0]) for found in re.finditer(pattern, text)]


def _coalesce(*values: Any) -> Any:
    return next(value for value in (*values, None) if value not in (None, "") or value is None)


def _distinct(values: list[Any]) -> list[Any]:
    return [value for at, value in enumerate(values) if value not in values[:at]]


def _flatten(values: list[Any]) -> list[Any]:
    return [v for one in values for v in (_flatten(one) if isinstance(one, list) else [one])]


def _merge(*objects: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for one in objects for key, value in (one or {}).items()}


def _format(pattern: str, *values: Any) -> str:
    plain = [hcl.text_of(v) if isinstance(v, bool) else v for v in values]
    return re.sub(r"%([-+ #0-9.]*)[vt]", r"%\1s", pattern) % tuple(plain)


def _sum(kind: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(kind, text.encode()).hexdigest()


def _lookup(one: dict[str, Any], key: str, *default: Any) -> Any:
    return one[key] if key in one or not default else default[0]


KNOWN: dict[str, Callable[..., Any]] = {
    "absolute": abs,
    "add": lambda a, b: a + b,
    "and": lambda a, b: a and b,
    "base64decode": lambda text: binascii.a2b_base64(text).decode(),
    "base64encode": lambda text: binascii.b2a_base64(text.encode(), newline=False).decode(),
    "basename": posixpath.basename,
    "ceil": math.ceil,
    "chomp": lambda text: text.rstrip("\r\n"),
    "chunklist": lambda v, size: [v[at : at + size] for at in range(0, len(v), size)],
    "coalesce": _coalesce,
    "compact": lambda values: [value for value in values if value],
    "concat": lambda *lists: [value for one in lists for value in one],
    "contains": lambda values, value: value in values,
    "dirname": lambda path: posixpath.dirname(path) or ".",
    "distinct": _distinct,
    "divide": lambda a, b: hcl.whole(a / b),
    "element": lambda values, at: values[at % len(values)],
    "equal": lambda a, b: a == b,
    "flatten": _flatten,
    "floor": math.floor,
    "format": _format,
    "formatlist": lambda pattern, values: [_format(pattern, value) for value in values],
    "greaterthan": lambda a, b: a > b,
    "greaterthanorequalto": lambda a, b: a >= b,
    "hasindex": lambda v, k: 0 <= k < len(v) if isinstance(v, list) else k in v,
    "indent": lambda count, text: text.replace("\n", "\n" + " " * count),
    "index": lambda values, key: values[key],
    "indexof": lambda values, value: values.index(value),
    "int": int,
    "join": lambda between, *lists: between.join(hcl.text_of(v) for one in lists for v in one),
    "jsondecode": json.loads,
    "jsonencode": lambda value: json.dumps(value, separators=(",", ":")),
    "keys": sorted,
    "length": len,
    "lessthan": lambda a, b: a < b,
    "lessthanorequalto": lambda a, b: a <= b,
    "lookup": _lookup,
    "lower": str.lower,
    "max": max,
    "md5": _sum("md5"),
    "merge": _merge,
    "min": min,
    "modulo": lambda a, b: a % b,
    "multiply": lambda a, b: a * b,
    "negate": lambda a: -a,
    "not": lambda a: not a,
    "notequal": lambda a, b: a != b,
    "or": lambda a, b: a or b,
    "parseint": int,
    "pow": lambda a, b: hcl.whole(a**b),
    "range": lambda *ends: [*range(*ends)],
    "regex": _regex,
    "regexall": _regexall,
    "regex_replace": lambda text, pattern, new: _replace(text, f"/{pattern}/", new),
    "replace": _replace,
    "reverse": lambda text: text[::-1],
    "reverselist": lambda values: values[::-1],
    "sanitize": lambda text: re.sub(r"[^a-zA-Z0-9_-]", "_", text),
    "sha1": _sum("sha1"),
    "sha256": _sum("sha256"),
    "sha512": _sum("sha512"),
    "slice": lambda values, first, last: values[first:last],
    "sort": sorted,
    "split": lambda between, text: text.split(between),
    "strlen": len,
    "substr": lambda t, at, n: t[at % len(t) if t else 0 :][: n if n >= 0 else None],
    "subtract": lambda a, b: a - b,
    "title": str.title,
    "trim": str.strip,
    "trimprefix": str.removeprefix,
    "trimspace": str.strip,
    "trimsuffix": str.removesuffix,
    "upper": str.upper,
    "values": lambda one: [one[key] for key in sorted(one)],
    "zipmap": lambda keys, values: dict(zip(keys, values, strict=True)),
}
