"""Expressions of HCL: `Evaluator(lookup, call).value(tree)`; a method for each grammar rule."""

from __future__ import annotations

import operator
import re
import textwrap

from sampan.cli.bake import hcl
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le,
    ">=": operator.ge, "+": operator.add, "-": operator.sub, "*": operator.mul,
    "/": lambda a, b: hcl.whole(a / b), "%": operator.mod,
}  # fmt: skip
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class Evaluator:
    def __init__(
        self,
        lookup: Callable[[str], Any],
        call: Callable[[str, list[Any]], Any],
        local: Mapping[str, Any] = {},
    ) -> None:
        self._lookup, self._call, self._local = lookup, call, local

    def value(self, tree: Any) -> Any:
        found = getattr(self, f"_{tree.data}", None)
        if found is None:
            raise errors.Unsupported(f"{tree.data.replace('_', ' ')} is not known here")
        return found(tree)

    def template(self, text: str) -> Any:
        """A text with `${…}`; one that is nothing else has the value itself."""
        pieces: list[Any] = []
        at = 0
        for found in re.finditer(r"\$\$\{|%%\{|\$\{|%\{", text):
            if found.start() < at:
                continue
            pieces.append(text[at : found.start()])
            at = found.end()
            if len(found[0]) == 3:
                pieces.append(found[0][1:])
            elif found[0] == "%{":
                raise errors.Unsupported("%{ } is known in quoted strings only")
            else:
                end = _closing(text, at)
                pieces.append(hcl.Constant(value=self.value(hcl.expression(text[at:end]))))
                at = end + 1
        pieces.append(text[at:])
        return _joined(pieces)

    # One method for each rule of the grammar.

    def _constant(self, tree: Any) -> Any:
        return tree.value

    def _json(self, tree: Any) -> Any:
        value = tree.value
        if isinstance(value, dict):
            return {key: self._json(hcl.Json(value=one)) for key, one in value.items()}
        if isinstance(value, list):
            return [self._json(hcl.Json(value=one)) for one in value]
        return self.template(value) if isinstance(value, str) else value

    def _expr_term(self, tree: Any) -> Any:
        return self.value(hcl.parts(tree)[0])

    def _int_lit(self, tree: Any) -> int:
        return int(tree.children[0])

    def _float_lit(self, tree: Any) -> float:
        return float(tree.children[0])

    def _literal_value(self, tree: Any) -> bool | None:
        return {"true": True, "false": False}.get(str(tree.children[0]))

    def _identifier(self, tree: Any) -> Any:
        name = str(tree.children[0])
        return self._local[name] if name in self._local else self._lookup(name)

    def _string(self, tree: Any) -> Any:
        pieces: list[Any] = []
        shown = [True]
        for part in hcl.parts(tree):
            inner = part.children[0]
            kind = getattr(inner, "data", "")
            if kind == "template_if_start":
                shown.append(shown[-1] and bool(self.value(hcl.parts(inner)[0])))
            elif kind == "template_else":
                shown[-1] = shown[-2] and not shown[-1]
            elif kind == "template_endif":
                shown.pop()
            elif kind and kind != "interpolation":
                raise errors.Unsupported("%{ for } is not known here")
            elif shown[-1] and kind:
                pieces.append(hcl.Constant(value=self.value(hcl.parts(inner)[0])))
            elif shown[-1]:
                text = str(inner)
                doubled = text.startswith(("$${", "%%{"))
                pieces.append(text[1:] if doubled else _unescaped(text))
        return _joined(pieces)

    def _heredoc_template(self, tree: Any) -> Any:
        lines = str(tree.children[0]).rstrip().split("\n")[1:-1]
        return self.template("".join(f"{line}\n" for line in lines))

    def _heredoc_template_trim(self, tree: Any) -> Any:
        lines = str(tree.children[0]).rstrip().split("\n")[1:-1]
        return self.template(textwrap.dedent("".join(f"{line}\n" for line in lines)))

    def _tuple(self, tree: Any) -> list[Any]:
        return [self.value(part) for part in hcl.parts(tree)]

    def _object(self, tree: Any) -> dict[str, Any]:
        return dict(self._pair(element) for element in hcl.parts(tree))

    def _pair(self, element: Any) -> tuple[str, Any]:
        key, value = hcl.parts(element)
        inner = key.children[0]
        bare = re.fullmatch(r"[\w-]+", hcl.word(inner)) and not _calls(inner)
        return (hcl.word(inner) if bare else hcl.text_of(self.value(inner))), self.value(value)

    def _conditional(self, tree: Any) -> Any:
        condition, yes, no = hcl.parts(tree)
        return self.value(yes if self.value(condition) else no)

    def _unary_op(self, tree: Any) -> Any:
        value = self.value(hcl.parts(tree)[0])
        return not value if str(tree.children[0]) == "!" else -value

    def _binary_op(self, tree: Any) -> Any:
        left, term = hcl.parts(tree)[:2]
        sign, right = hcl.parts(term)[:2]
        name = str(sign.children[0])
        first = self.value(left)
        if name in ("&&", "||"):
            return bool(first) if bool(first) == (name == "||") else bool(self.value(right))
        try:
            return OPERATORS[name](first, self.value(right))
        except (TypeError, ZeroDivisionError) as error:
            raise errors.InvalidArgument(f"{name}: {error}") from None

    def _function_call(self, tree: Any) -> Any:
        name, *rest = hcl.parts(tree)
        values = [self.value(part) for part in hcl.parts(rest[-1])] if rest else []
        if rest and str(rest[-1].children[-1]) == "...":
            values = [*values[:-1], *values[-1]]
        return self._call(str(name.children[0]), values)

    def _index_expr_term(self, tree: Any) -> Any:
        return self._step(self.value(hcl.parts(tree)[0]), hcl.parts(tree)[1])

    _get_attr_expr_term = _index_expr_term

    def _full_splat_expr_term(self, tree: Any) -> list[Any]:
        base, splat = hcl.parts(tree)
        found = self.value(base)
        values = found if isinstance(found, list) else [] if found is None else [found]
        for part in hcl.parts(splat):
            values = [self._step(value, part) for value in values]
        return values

    _attr_splat_expr_term = _full_splat_expr_term

    def _step(self, base: Any, part: Any) -> Any:
        if part.data == "get_attr":
            key: Any = hcl.word(part.children[-1])
        elif part.data == "short_index":
            key = int(part.children[-1])
        else:
            key = self.value(hcl.parts(part)[0])
        try:
            return base[int(key) if isinstance(base, list) else key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise errors.InvalidArgument(f'there is no "{key}"') from None

    def _for_tuple_expr(self, tree: Any) -> list[Any]:
        intro, result, *condition = hcl.parts(tree)
        return [inner.value(result) for inner in self._turns(intro, condition)]

    def _for_object_expr(self, tree: Any) -> dict[str, Any]:
        intro, key, value, *condition = hcl.parts(tree)
        grouped = any(str(child) == "..." for child in tree.children)
        made: dict[str, Any] = {}
        for inner in self._turns(intro, condition):
            name = hcl.text_of(inner.value(key))
            if grouped:
                made.setdefault(name, []).append(inner.value(value))
            else:
                made[name] = inner.value(value)
        return made

    def _turns(self, intro: Any, condition: list[Any]) -> list[Evaluator]:
        *names, collection = hcl.parts(intro)
        found = self.value(collection)
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        turns = []
        for pair in pairs:
            bound = dict(zip((str(n.children[0]) for n in names), pair[-len(names) :], strict=True))
            inner = Evaluator(self._lookup, self._call, {**self._local, **bound})
            if not condition or inner.value(hcl.parts(condition[0])[0]):
                turns.append(inner)
        return turns


def _calls(tree: Any) -> bool:
    return any(tree.find_pred(lambda t: t.data in ("function_call", "interpolation"))) or any(
        str(token) == "(" for token in tree.scan_values(lambda _: True)
    )


def _closing(text: str, at: int) -> int:
    """Where the brace ends that opened before `at`."""
    depth, quoted = 1, False
    for place in range(at, len(text)):
        char = text[place]
        if char == '"' and text[place - 1] != "\\":
            quoted = not quoted
        elif not quoted and char in "{}":
            depth += 1 if char == "{" else -1
            if not depth:
                return place
    raise errors.InvalidArgument(f"${{ is not closed: {text}")


def _joined(pieces: list[Any]) -> Any:
    kept = [piece for piece in pieces if piece != ""]
    if len(kept) == 1 and isinstance(kept[0], hcl.Constant):
        return kept[0].value
    return "".join(p if isinstance(p, str) else hcl.text_of(p.value) for p in kept)


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if code[0] in "uU" else _ESCAPES.get(code, match[0])

    return re.sub(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", one, text)
