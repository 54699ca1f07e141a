"""The rules that need no meaning: casing, names, comments, blank lines. They see every stage."""

from __future__ import annotations

from sampan.build.instructions.arg import Arg
from sampan.build.instructions.from_ import From

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.build.checks.collector import Collector
    from sampan.build.dockerfile import Dockerfile
    from sampan.build.instructions.base import Instruction
    from sampan.build.parser import Statement

_RESERVED = ("context", "scratch")


def look(file: Dockerfile, found: Collector) -> None:
    for line in file.document.empty_continuations:
        found.add("NoEmptyContinuation", line=line)
    for arg in [*file.arguments, *(step for step in _all(file) if isinstance(step, Arg))]:
        _description(arg.statement, "ARG", [name for name, _ in arg.pairs], found)
    _names(file, found)
    for instruction in _all(file):
        statement = instruction.statement
        if statement.name == "maintainer":
            found.add("MaintainerDeprecated", of=statement)
        elif isinstance(instruction, From):
            _from(instruction, found)
    _casing(file, found)


def _all(file: Dockerfile) -> Iterator[Instruction]:
    for stage in file.stages:
        yield stage.start
        yield from stage.steps


def _names(file: Dockerfile, found: Collector) -> None:
    seen: set[str] = set()
    for stage in file.stages:
        if stage.name in _RESERVED:
            found.add("ReservedStageName", stage.name, of=stage.start.statement)
        if stage.name and stage.name in seen:
            found.add("DuplicateStageName", stage.name, of=stage.start.statement)
        seen.add(stage.name)


def _from(start: From, found: Collector) -> None:
    statement = start.statement
    if not start.stage:
        return
    word, name = statement.args[1], statement.args[2]
    if name != name.lower():
        found.add("StageNameCasing", name, of=statement)
    keyword = statement.keyword
    if keyword in (keyword.lower(), keyword.upper()):
        fitting = word.lower() if keyword == keyword.lower() else word.upper()
        if word != fitting:
            found.add("FromAsCasing", word, keyword, of=statement)
    _description(statement, "FROM", [start.stage], found)


def _description(statement: Statement, kind: str, names: list[str], found: Collector) -> None:
    if statement.comments and statement.comments[-1].split(" ")[0] not in names:
        shown = names[0] if len(names) == 1 else "<arg_key>"
        found.add("InvalidDefinitionDescription", kind, shown, of=statement)


def _casing(file: Dockerfile, found: Collector) -> None:
    words = [instruction.statement for instruction in _all(file)]
    lower = sum(word.keyword == word.keyword.lower() for word in words)
    upper = sum(word.keyword == word.keyword.upper() for word in words)
    for word in words:
        fitting = word.keyword.lower() if lower > upper else word.keyword.upper()
        if word.keyword != fitting:
            majority = "lowercase" if lower > upper else "uppercase"
            found.add("ConsistentInstructionCasing", word.keyword, majority, of=word)
