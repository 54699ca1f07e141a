"""What all files of a bake say together: `Definition(blocks, environ).plan(names, sets)`."""

from __future__ import annotations

import fnmatch
import itertools
import platform

from sampan.cli.bake import evaluate, fields, functions, hcl
from sampan.kit import errors, nearest
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_META = ("inherits", "matrix", "name")
_LINK = "target:"


class Plan(Record):
    groups: dict[str, list[str]]
    targets: dict[str, dict[str, Any]]  # each after those whose result it uses
    linked: frozenset[str]  # nobody asked for them but other targets


class Definition:
    def __init__(self, files: Sequence[hcl.Block], environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._named: dict[str, dict[str, dict[str, Any]]] = {"variable": {}, "function": {}}
        self._validations: list[tuple[str, hcl.Block]] = []
        self._constants: dict[str, Any] = {}
        self._groups: dict[str, list[str]] = {}
        self._targets: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
        self._values: dict[str, Any] = {}
        self._busy: list[str] = []
        blocks = [block for file in files for block in file.blocks]
        for file in files:
            self._constants |= file.attributes
        for block in blocks:
            if block.kind not in ("variable", "function", "group", "target") or not block.labels:
                raise errors.InvalidArgument(f'"{block.kind}" is no block of a bake file')
            if block.kind in self._named:
                known = self._named[block.kind].setdefault(block.labels[0], {})
                known |= block.attributes
                self._validations += [(block.labels[0], inner) for inner in block.blocks]
        for name, block in self._validations:
            self._validate(name, block)
        for block in blocks:
            if block.kind == "target":
                self._add_target(block)
            elif block.kind == "group":
                self._groups[block.labels[0]] = self._members_of(block)

    def _members_of(self, group: hcl.Block) -> list[str]:
        tree = group.attributes.get("targets")
        return _names(f'group "{group.labels[0]}"', tree and self._evaluator().value(tree))

    # Names and functions.

    def _evaluator(self, local: Mapping[str, Any] = {}) -> evaluate.Evaluator:
        return evaluate.Evaluator(self.lookup, self._call, local)

    def lookup(self, name: str) -> Any:
        """The value of a variable. Raises InvalidArgument for an unknown one."""
        if name == "target":
            return _Targets(self)
        if name not in self._values:
            if name in self._busy:
                raise errors.InvalidArgument(f'variable "{name}" needs itself')
            self._busy.append(name)
            try:
                self._values[name] = self._variable(name)
            finally:
                self._busy.pop()
        return self._values[name]

    def _variable(self, name: str) -> Any:
        variables = self._named["variable"]
        built_in = {"BAKE_CMD_CONTEXT": ".", "BAKE_LOCAL_PLATFORM": _local_platform()}
        if name in variables:
            block = variables[name]
            value = self._evaluator().value(block["default"]) if "default" in block else None
            kind = hcl.kind_name(block["type"]) if "type" in block else ""
        elif name in self._constants:
            value, kind = self._evaluator().value(self._constants[name]), ""
        elif name in built_in:
            return built_in[name]
        else:
            guess = nearest.one(name, (*variables, *self._constants))
            hint = f" (did you mean {guess}?)" if guess else ""
            raise errors.InvalidArgument(f'there is no variable "{name}"{hint}')
        given = self._environ.get(name)
        if given is None:
            return "" if value is None and not kind and name in variables else value
        return _typed(name, given, kind or _kind(value))

    def _validate(self, name: str, block: hcl.Block) -> None:
        condition = block.attributes.get("condition")
        if condition is None:
            raise errors.InvalidArgument(f'variable "{name}": validation: a condition is wanted')
        if not self._evaluator().value(condition):
            said = block.attributes.get("error_message")
            why = self._evaluator().value(said) if said is not None else "its condition is false"
            raise errors.InvalidArgument(f'variable "{name}": {why}')

    def _call(self, name: str, values: list[Any]) -> Any:
        own = self._named["function"].get(name)
        if own is None:
            return functions.call(name, values)
        names = hcl.names(own["params"]) if "params" in own else []
        local = dict(zip(names, values, strict=False))
        if "variadic_params" in own or "variadic_param" in own:
            rest = hcl.word(own.get("variadic_params") or own["variadic_param"])
            local[rest] = values[len(names) :]
        elif len(values) != len(names):
            raise errors.InvalidArgument(f"{name}() takes {len(names)} arguments")
        return self._evaluator(local).value(own["result"])

    # Targets.

    def _add_target(self, block: hcl.Block) -> None:
        label, attributes = block.labels[0], block.attributes
        if "matrix" not in attributes:
            self._targets.setdefault(label, []).append((attributes, {}))
            return
        if "name" not in attributes:
            raise errors.InvalidArgument(f'target "{label}": a matrix wants a name')
        axes = self._evaluator().value(attributes["matrix"])
        if not isinstance(axes, dict) or not all(isinstance(one, list) for one in axes.values()):
            raise errors.InvalidArgument(f'target "{label}": a matrix is an object of lists')
        made = []
        for values in itertools.product(*axes.values()):
            local = dict(zip(axes, values, strict=True))
            name = hcl.text_of(self._evaluator(local).value(attributes["name"]))
            self._targets.setdefault(name, []).append((attributes, local))
            made.append(name)
        self._groups[label] = made

    def resolved(self, name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
        """A target with what it inherits."""
        if name in above:
            raise errors.InvalidArgument(f'target "{name}" inherits itself')
        if name not in self._targets:
            raise self._unknown(name)
        made: dict[str, Any] = {}
        try:
            for attributes, local in self._targets[name]:
                evaluator = self._evaluator(local)
                if "inherits" in attributes:
                    for parent in _names("inherits", evaluator.value(attributes["inherits"])):
                        made = fields.merged(made, self.resolved(parent, (*above, name)))
                made = fields.merged(made, _own(evaluator, attributes))
        except (errors.InvalidArgument, errors.Unsupported) as error:
            if above or str(error).startswith("target "):
                raise
            raise type(error)(f'target "{name}": {error}') from None
        return made

    def _unknown(self, name: str) -> errors.InvalidArgument:
        guess = nearest.one(name, (*self._targets, *self._groups))
        hint = f" (did you mean {guess}?)" if guess else ""
        return errors.InvalidArgument(f'there is no target "{name}"{hint}')

    def _members(self, name: str, groups: dict[str, list[str]]) -> list[str]:
        """The targets of a group, groups inside of it included."""
        if name not in self._groups or (name in self._targets and name not in groups):
            if name not in self._targets:
                raise self._unknown(name)
            return [name]
        if name in groups:
            return []
        groups[name] = self._groups[name]
        found = [one for inner in self._groups[name] for one in self._members(inner, groups)]
        return [*dict.fromkeys(found)]

    def plan(self, names: Sequence[str], sets: Sequence[str]) -> Plan:
        """`sets` are texts PATTERN.KEY[.NAME]=VALUE."""
        wanted = [one for name in names or ["default"] for one in self._matching(name)]
        groups: dict[str, list[str]] = {}
        asked = [one for name in dict.fromkeys(wanted) for one in self._members(name, groups)]
        extra = [name for name in wanted if not (name == "default" and "default" in groups)]
        if extra:
            groups["default"] = sorted({*groups.get("default", []), *extra})
        elif "default" in groups:
            groups["default"] = sorted(dict.fromkeys(groups["default"]))
        over = [_override(text) for text in sets]
        targets: dict[str, dict[str, Any]] = {}
        for name in dict.fromkeys(asked):
            self._place(name, over, targets, ())
        linked = frozenset(targets) - {*asked}
        for name in linked:
            targets[name]["output"] = [{"type": "cacheonly"}]
        return Plan(groups=groups, targets=targets, linked=linked)

    def _matching(self, name: str) -> list[str]:
        if not any(sign in name for sign in "*?["):
            return [name]
        found = [one for one in self._targets if fnmatch.fnmatchcase(one, name)]
        if not found:
            raise errors.InvalidArgument(f'no target matches "{name}"')
        return found

    def _place(
        self, name: str, over: Sequence[_Override], done: dict[str, Any], above: tuple[str, ...]
    ) -> None:
        """The target into `done`, behind those it links to."""
        if name in above:
            raise errors.InvalidArgument(f'target "{name}" needs itself as a context')
        if name in done:
            return
        target = self.resolved(name)
        touched: set[str] = set()
        for one in over:
            if fnmatch.fnmatchcase(name, one.pattern):
                target = one.applied(target, touched)
        target = {"context": ".", "dockerfile": "Dockerfile", **target}
        for value in (target.get("contexts") or {}).values():
            if value.startswith(_LINK):
                self._place(value.removeprefix(_LINK), over, done, (*above, name))
        done[name] = target


def _names(place: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise errors.InvalidArgument(f"{place}: a list of targets is wanted")
    return value


class _Targets:
    """`target.NAME.ATTRIBUTE` in an expression."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._definition.resolved(name)


class _Override(Record):
    text: str
    pattern: str
    key: str
    inner: str
    value: str
    more: bool  # `+=`

    def applied(self, target: dict[str, Any], touched: set[str]) -> dict[str, Any]:
        """Of a list the first takes the place of the file's; further ones join it."""
        if self.inner:
            return fields.merged(target, {self.key: {self.inner: self.value}})
        if self.key in (*fields.LISTS, *fields.RECORDS):
            value = fields.shaped(self.key, [self.value])
            kept = target.get(self.key, []) if self.more or self.key in touched else []
            touched.add(self.key)
            return {**target, self.key: [*kept, *value]}
        return {**target, self.key: fields.shaped(self.key, self.value)}


def _override(text: str) -> _Override:
    left, equals, value = text.partition("=")
    more = left.endswith("+")
    pattern, dot, key = left.removesuffix("+").partition(".")
    if not equals or not dot or not pattern:
        raise errors.InvalidArgument(f"--set {text}: TARGET.KEY=VALUE is wanted")
    key, _, inner = key.partition(".")
    try:
        key = fields.canonical(key)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"--set {text}: {error}") from None
    if (key in fields.MAPS) != bool(inner):
        raise errors.InvalidArgument(f"--set {text}: {key}.NAME=VALUE is wanted" if not inner
                                     else f"--set {text}: {key} has no parts")  # fmt: skip
    return _Override(text=text, pattern=pattern, key=key, inner=inner, value=value, more=more)


def _own(evaluator: evaluate.Evaluator, attributes: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, tree in attributes.items():
        if name not in _META:
            key = fields.canonical(name)
            made[key] = fields.shaped(key, evaluator.value(tree))
    return made


def _kind(value: Any) -> str:
    kinds = {bool: "bool", int: "number", float: "number", list: "list"}
    return kinds.get(type(value), "string")


def _typed(name: str, text: str, kind: str) -> Any:
    """What the environment says, as the variable's kind."""
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind == "number":
            return hcl.whole(float(text))
    except (KeyError, ValueError):
        raise errors.InvalidArgument(f'variable "{name}": "{text}" is no {kind}') from None
    return text.split(",") if kind == "list" else text


def _local_platform() -> str:
    machines = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"linux/{machines.get(platform.machine(), platform.machine())}"
