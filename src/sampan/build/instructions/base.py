"""What all instructions have: the statement they come from, flags, and words to expand."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.kit import nearest
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, Self

    from sampan.build.parser import Statement

    class Expander(Protocol):
        """How variables are replaced at the place where an instruction stands."""

        def word(self, text: str) -> str: ...
        def words(self, text: str) -> tuple[str, ...]: ...
        def body(self, text: str) -> str: ...


class Instruction(Record):
    statement: Statement

    @property
    def name(self) -> str:
        return self.statement.keyword

    def expanded(self, _expander: Expander) -> Self:
        """With its variables replaced; those that have none stay as they are."""
        return self


class Flags(Record):
    """An instruction's flags by kind. Booleans may have a value, the others need one."""

    booleans: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    def read(self, statement: Statement) -> dict[str, str | bool | list[str]]:
        found: dict[str, str | bool | list[str]] = {}
        for flag in statement.flags:
            option, equals, value = flag.partition("=")
            name = option[2:]
            self._check(option, name, found)
            if name in self.booleans:
                found[name] = _boolean(option, equals, value)
            elif not equals:
                raise DockerfileError(f"missing a value on flag: {option}")
            elif name in self.lists:
                found[name] = [*strings(found, name), value]
            else:
                found[name] = value
        return found

    def _check(self, option: str, name: str, found: dict[str, str | bool | list[str]]) -> None:
        known = (*self.booleans, *self.strings, *self.lists)
        if name not in known:
            raise DockerfileError(f"unknown flag: {option}{did_you_mean(name, known)}")
        if name in found and name not in self.lists:
            raise DockerfileError(f"duplicate flag specified: {option}")


def _boolean(option: str, equals: str, value: str) -> bool:
    if equals and not value:
        raise DockerfileError(f"missing a value on flag: {option}")
    if value.lower() not in ("", "true", "false"):
        raise DockerfileError(f"expecting boolean value for flag {option}, not: {value}")
    return value.lower() != "false"


def string(found: dict[str, str | bool | list[str]], name: str) -> str:
    value = found.get(name, "")
    return value if isinstance(value, str) else ""


def strings(found: dict[str, str | bool | list[str]], name: str) -> list[str]:
    value = found.get(name, [])
    return value if isinstance(value, list) else []


def optional(found: dict[str, str | bool | list[str]], name: str) -> bool | None:
    value = found.get(name)
    return value if isinstance(value, bool) else None


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    match = nearest.one(word, known)
    return f" (did you mean {match}?)" if match else ""


NO_FLAGS = Flags()


def at_least_one(statement: Statement) -> None:
    if not statement.args and not statement.pairs:
        raise DockerfileError(f"{statement.keyword.upper()} requires at least one argument")


def exactly_one(statement: Statement) -> str:
    if len(statement.args) != 1:
        raise DockerfileError(f"{statement.keyword.upper()} requires exactly one argument")
    return statement.args[0]
