"""HCL: blocks with attributes whose values are expressions; python-hcl2 has the grammar.

`parse(text)` gives `Block`s; `evaluate.Evaluator` computes their expressions. Values are Python's:
str, int, float, bool, None, list, dict.
"""

from __future__ import annotations

import re

from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Block(Record):
    kind: str  # "target", "variable", …; empty for the file itself
    labels: tuple[str, ...] = ()
    attributes: dict[str, Any]  # name → an expression's tree
    blocks: tuple[Block, ...] = ()


def parse(text: str) -> Block:
    """Raises InvalidArgument with line and column."""
    return _block("", (), _tree(text if text.endswith("\n") else f"{text}\n").children[0])


def _tree(text: str) -> Any:
    import hcl2
    from lark.exceptions import UnexpectedInput

    try:
        return hcl2.parses_to_tree(text)
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        what = f'"{token}" was not expected' if str(token or "").strip() else "unexpected input"
        raise errors.InvalidArgument(f"{error.line}:{error.column}: {what}") from None


def names(tree: Any) -> list[str]:
    """The words of a list: `[a, b]`."""
    return tree.value if isinstance(tree, Json) else [word(part) for part in parts(parts(tree)[0])]


def kind_name(tree: Any) -> str:
    """`list` of `list(string)`."""
    return re.split(r"\W", word(tree), maxsplit=1)[0]


def expression(text: str) -> Any:
    return _tree(f"x = {text}\n").children[0].children[0].children[-1]


def _block(kind: str, labels: tuple[str, ...], body: Any) -> Block:
    attributes, blocks = {}, []
    for child in parts(body):
        if child.data == "attribute":
            name, value = parts(child)[0], child.children[-1]
            attributes[word(name)] = value
        else:
            *names, inner = parts(child)
            words = tuple(word(name) for name in names)
            blocks.append(_block(words[0], words[1:], inner))
    return Block(kind=kind, labels=labels, attributes=attributes, blocks=tuple(blocks))


def parts(tree: Any) -> list[Any]:
    """The children that are more than punctuation."""
    return [c for c in tree.children if hasattr(c, "data") and c.data != "new_line_or_comment"]


def word(tree: Any) -> str:
    """A lone name, with or without quotes."""
    if isinstance(tree, Json):
        return str(tree.value)
    return "".join(str(token) for token in tree.scan_values(lambda _: True)).strip('"')


class Constant(Record):
    """A value where an expression could stand."""

    value: Any
    data: str = "constant"


class Json(Record):
    """A value of a JSON file: its strings are templates."""

    value: Any
    data: str = "json"


def whole(number: float) -> int | float:
    return int(number) if number == int(number) else number


def text_of(value: Any) -> str:
    """As a template shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise errors.InvalidArgument(f"a string is wanted, not {kind_of(value)}")


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "a list", dict: "an object", bool: "a bool"}.get(type(value), "a number")
