"""The functions of Go templates, and how Go prints values (`%v`)."""

from __future__ import annotations

from sampan.cli.template_parse import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Missing:
    """A member that is not there; what is printed must be there."""

    def __init__(self, name: str) -> None:
        self.name = name


class Null:
    """A null of an engine's JSON: an empty list or map, printed as Go prints those."""

    def __init__(self, name: str) -> None:
        self.name = name

    def as_json(self) -> None:
        return None

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "map[]" if self.name in _MAPS else "[]"


_MAPS = ("Labels", "Ports", "Volumes", "Options", "PortBindings", "ExposedPorts", "Tmpfs")


def truth(value: Any) -> bool:
    return not isinstance(value, Missing) and bool(value)


def kind(value: Any) -> str:
    """Go's name for a value's type, for errors."""
    names = {bool: "bool", str: "string", int: "int", float: "float64", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}")


def show(value: Any) -> str:
    """`%v`: maps as `map[k:v]` in order, lists as `[a b]`."""
    if isinstance(value, Missing):
        raise TemplateError(f'map has no entry for key "{value.name}"')
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _show_float(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{k}:{_inner(v)}' for k, v in sorted(value.items()))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(_inner(item) for item in value)}]"
    if isinstance(value, Null):
        return str(value)
    if hasattr(value, "as_json"):
        return show(value.as_json())
    return str(value)


def _inner(value: Any) -> str:
    return "<nil>" if value is None else show(value)


def _show_float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value)) if abs(value) < 1e6 else f"{value:g}"
    return repr(value)


def to_json(value: Any) -> str:
    """Go's encoding: compact, keys in the order of the data."""
    import json

    def default(item: Any) -> Any:
        return None if isinstance(item, Missing) else item.as_json()

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=default)
    if hasattr(value, "as_json"):  # Docker's rows come through an encoder that escapes for HTML
        for character, escaped in _JSON_HTML:
            text = text.replace(character, escaped)
    return text


_JSON_HTML = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Missing) or value is None:
            raise TemplateError("index of untyped nil")
        if isinstance(value, Null):
            return ""
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, list | str):
            if not 0 <= int(key) < len(value):
                raise TemplateError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"can't index item of type {kind(value)}")
    return value


def _slice(value: Any, *ends: int) -> Any:
    return value[slice(*ends)] if len(ends) != 1 else value[ends[0] :]


def _truncate(text: str, size: int) -> str:
    return text[:size] if len(text) > size else text


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _join(items: Any, separator: str) -> str:
    return separator.join(show(item) for item in items or [])


def _print(*items: Any) -> str:
    """Spaces stand between operands when neither is a string."""
    out = ""
    for i, item in enumerate(items):
        if i and not isinstance(item, str) and not isinstance(items[i - 1], str):
            out += " "
        out += show(item)
    return out


def _println(*items: Any) -> str:
    return " ".join(show(item) for item in items) + "\n"


_QUOTES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quote(text: str) -> str:
    """Go's `%q`."""
    return f'"{"".join(_QUOTES.get(character, character) for character in text)}"'


def _printf(form: str, *items: Any) -> str:
    out, left, index = "", list(items), 0
    while index < len(form):
        if form[index] != "%":
            out += form[index]
            index += 1
            continue
        end = index + 1
        while end < len(form) and form[end] in "+-# 0123456789.*":
            end += 1
        verb = form[end : end + 1]
        if verb == "%":
            out += "%"
        elif not left:
            out += f"%!{verb}(MISSING)"
        else:
            out += _verb(form[index + 1 : end], verb, left.pop(0))
        index = end + 1
    return out


def _verb(flags: str, verb: str, value: Any) -> str:
    if verb in ("v", "s"):
        return f"%{flags}s" % show(value)
    if verb == "q":
        return f"%{flags}s" % quote(show(value))
    if verb == "t":
        return f"%{flags}s" % show(bool(value))
    if verb == "T":
        return kind(value)
    if verb in tuple("dxXofeEgGc"):
        try:
            return str(f"%{flags}{verb}" % value)
        except TypeError:
            return f"%!{verb}({kind(value)}={show(value)})"
    return f"%!{verb}({kind(value)}={show(value)})"


def _ordered(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if isinstance(left, str) is not isinstance(right, str):
            raise TemplateError("incompatible types for comparison")
        return check(left, right)

    return compare


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    for other in others:
        if isinstance(first, str) is not isinstance(other, str) and None not in (first, other):
            raise TemplateError("incompatible types for comparison")
    return first in others


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _length(value: Any) -> int:
    if value is None or isinstance(value, Missing | int | float):
        raise TemplateError(f"len of type {kind(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&#34;", "'": "&#39;"}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": to_json,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "join": _join,
    "title": _title,
    "lower": lambda text: show(text).lower(),
    "upper": lambda text: show(text).upper(),
    "pad": _pad,
    "truncate": _truncate,
    "println": _println,
    "print": _print,
    "printf": _printf,
    "index": _index,
    "slice": _slice,
    "len": _length,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _ordered(lambda left, right: left < right),
    "le": _ordered(lambda left, right: left <= right),
    "gt": _ordered(lambda left, right: left > right),
    "ge": _ordered(lambda left, right: left >= right),
    "html": lambda text: "".join(_HTML.get(c, c) for c in show(text)),
}
