"""Go templates for `--format`: what people write for Docker works here.

    template.render("{{.Names}}\\t{{upper .State}}", row)

Data are what JSON holds, and `Fields`: objects whose members are computed when they are asked
for (the columns of a list). A member that takes arguments (`{{.Label "a"}}`) is a function.
What is missing is falsy in a condition, null in `json`, and an error where it would be printed.
"""

from __future__ import annotations

from sampan.cli import template_functions, template_parse
from sampan.cli.template_parse import TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["BrokenTemplate", "Fields", "Template", "TemplateError", "render"]


class Fields:
    """An object for templates. `getters`: member → function of the subject."""

    def __init__(self, getters: Mapping[str, Callable[[Any], Any]], subject: Any) -> None:
        self._getters = getters
        self._subject = subject

    def lookup(self, name: str) -> Any:
        getter = self._getters.get(name)
        if getter is None:
            return template_functions.Missing(name)
        return getter(self._subject)

    def as_json(self) -> dict[str, Any]:
        """All plain members by name; those that take arguments have no value of their own."""
        found = {name: self.lookup(name) for name in sorted(self._getters)}
        return {name: value for name, value in found.items() if not callable(value)}


class BrokenTemplate(TemplateError):
    """It cannot even be read."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def render(text: str, data: Any) -> str:
    return Template(text).render(data)


class Template:
    """A parsed template; raises TemplateError where it is malformed."""

    def __init__(self, text: str) -> None:
        try:
            self._nodes = template_parse.parse(text)
        except TemplateError as error:
            line = text.count("\n") + 1
            raise BrokenTemplate(f"template: :{line}: {error}") from error
        except RecursionError:
            raise BrokenTemplate("template: it is nested too deeply") from None

    def render(self, data: Any) -> str:
        try:
            return _Run(data).render(self._nodes)
        except RecursionError:
            raise TemplateError("it is nested too deeply") from None


class _Run:
    """One execution: variables by scope, output in pieces."""

    def __init__(self, data: Any) -> None:
        self._scopes: list[dict[str, Any]] = [{"$": data}]
        self._out: list[str] = []
        self._data = data

    def render(self, nodes: list[Any]) -> str:
        self._block(nodes, self._data)
        return "".join(self._out)

    def _block(self, nodes: list[Any], dot: Any) -> None:
        self._scopes.append({})
        try:
            for node in nodes:
                getattr(self, f"_{node[0]}")(node, dot)
        finally:
            self._scopes.pop()

    def _text(self, node: Any, dot: Any) -> None:
        self._out.append(node[1])

    def _pipe(self, node: Any, dot: Any) -> None:
        self._out.append(template_functions.show(self._pipeline(node[1], dot)))

    def _set(self, node: Any, dot: Any) -> None:
        _, name, declares, pipeline = node
        value = self._pipeline(pipeline, dot)
        if declares:
            self._scopes[-1][name] = value
            return
        self._scope_of(name)[name] = value

    def _scope(self, node: Any, dot: Any) -> None:
        self._block(node[1], dot)

    def _if(self, node: Any, dot: Any) -> None:
        _, pipeline, body, otherwise = node
        self._block(body if template_functions.truth(self._pipeline(pipeline, dot)) else otherwise,
                    dot)  # fmt: skip

    def _with(self, node: Any, dot: Any) -> None:
        _, pipeline, body, otherwise = node
        value = self._pipeline(pipeline, dot)
        if template_functions.truth(value):
            self._block(body, value)
        else:
            self._block(otherwise, dot)

    def _range(self, node: Any, dot: Any) -> None:
        _, names, pipeline, body, otherwise = node
        items = _items(self._pipeline(pipeline, dot))
        if not items:
            self._block(otherwise, dot)
            return
        for key, value in items:
            self._scopes.append(dict(zip(names, (key, value)[2 - len(names) :], strict=True)))
            try:
                self._block(body, value)
            except _Continue:
                continue
            except _Break:
                break
            finally:
                self._scopes.pop()

    def _break(self, node: Any, dot: Any) -> None:
        raise _Break

    def _continue(self, node: Any, dot: Any) -> None:
        raise _Continue

    def _scope_of(self, name: str) -> dict[str, Any]:
        scope: dict[str, Any]
        for scope in reversed(self._scopes):
            if name in scope:
                return scope
        raise TemplateError(f'undefined variable "{name}"')

    # --- values --------------------------------------------------------------

    def _pipeline(self, pipeline: Any, dot: Any) -> Any:
        last: list[Any] = []
        for command in pipeline:
            last = [self._command(command, dot, last)]
        return last[0]

    def _command(self, command: Any, dot: Any, piped: list[Any]) -> Any:
        first, *rest = command
        if first[0] == "call":
            return self._call(first[1], rest, dot, piped)
        value = self._operand(first, dot)
        arguments = [self._value(operand, dot) for operand in rest] + piped
        if callable(value):
            return _apply(value, arguments, _shown(first))
        if arguments:
            raise TemplateError(f"can't give argument to non-function {_shown(first)}")
        return value

    def _call(self, name: str, operands: Any, dot: Any, piped: list[Any]) -> Any:
        if name in ("and", "or"):  # these stop at the first operand that decides
            return self._decide(name == "or", operands, dot, piped)
        function = template_functions.FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f'function "{name}" not defined')
        arguments = [self._value(operand, dot) for operand in operands] + piped
        return _apply(function, arguments, name)

    def _decide(self, wanted: bool, operands: Any, dot: Any, piped: list[Any]) -> Any:
        value: Any = None
        for operand in operands:
            value = self._value(operand, dot)
            if template_functions.truth(value) is wanted:
                return value
        return piped[0] if piped else value

    def _value(self, operand: Any, dot: Any) -> Any:
        """An operand as an argument: a function without arguments is called."""
        if operand[0] == "call":
            return self._call(operand[1], [], dot, [])
        value = self._operand(operand, dot)
        return _apply(value, [], _shown(operand)) if callable(value) else value

    def _operand(self, operand: Any, dot: Any) -> Any:
        kind = operand[0]
        if kind == "const":
            return operand[1]
        if kind == "dot":
            return dot
        if kind == "var":
            return self._scope_of(operand[1])[operand[1]]
        if kind == "paren":
            return self._pipeline(operand[1], dot)
        _, inner, name = operand
        return _member(self._value(inner, dot), name)


def _member(value: Any, name: str) -> Any:
    if isinstance(value, Fields):
        return value.lookup(name)
    if isinstance(value, dict):
        if name not in value:
            return template_functions.Missing(name)
        member = value[name]
        return template_functions.Null(name) if member is None else member
    if isinstance(value, template_functions.Missing):
        raise TemplateError(f'map has no entry for key "{value.name}"')
    if value is None:
        raise TemplateError(f"nil pointer evaluating <nil>.{name}")
    kind = template_functions.kind(value)
    raise TemplateError(f"can't evaluate field {name} in type {kind}")


_EMPTY = (type(None), template_functions.Missing, template_functions.Null)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, _EMPTY):
        return []
    if isinstance(value, dict):
        return sorted(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(i, i) for i in range(value)]
    raise TemplateError(f"range can't iterate over {template_functions.show(value)}")


def _apply(function: Any, arguments: list[Any], name: str) -> Any:
    try:
        return function(*arguments)
    except TemplateError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise TemplateError(f"error calling {name}: {error}") from error


def _shown(operand: Any) -> str:
    if operand[0] == "field":
        inner = _shown(operand[1])
        return f"{'' if inner == '.' else inner}.{operand[2]}"
    return "." if operand[0] == "dot" else str(operand[1]) if len(operand) > 1 else "nil"
