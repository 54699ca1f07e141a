"""What COPY and ADD share: sources, inline files, a destination."""

from __future__ import annotations

from sampan.build import heredoc
from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import Instruction, string, strings
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from sampan.build.instructions.base import Expander, Flags
    from sampan.build.parser import Statement


class InlineFile(Record):
    name: str
    content: str
    expand: bool


class Sources(Instruction):
    sources: tuple[str, ...]
    inline: tuple[InlineFile, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()

    def expanded(self, expander: Expander) -> Self:
        return self.replace(
            sources=tuple(expander.word(source) for source in self.sources),
            inline=tuple(
                f.replace(content=expander.body(f.content)) if f.expand else f for f in self.inline
            ),
            destination=expander.word(self.destination),
            chown=expander.word(self.chown),
            chmod=expander.word(self.chmod),
            exclude=tuple(expander.word(pattern) for pattern in self.exclude),
        )


def read(statement: Statement, flags: Flags) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the fields of `Sources`, all flags) of a statement."""
    sources, inline, destination = _split(statement)
    given = flags.read(statement)
    fields = {
        "statement": statement,
        "sources": sources,
        "inline": inline,
        "destination": destination,
        "chown": string(given, "chown"),
        "chmod": string(given, "chmod"),
        "link": bool(given.get("link")),
        "exclude": tuple(strings(given, "exclude")),
    }
    return fields, given


def _split(statement: Statement) -> tuple[tuple[str, ...], tuple[InlineFile, ...], str]:
    name = statement.keyword.upper()
    if len(statement.args) < 2:
        raise DockerfileError(
            f"{name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    *given, destination = statement.args
    if heredoc.parse(destination):
        raise DockerfileError(f"{name} cannot accept a heredoc as a destination")
    bodies = {found.name: found for found in statement.heredocs}
    sources, inline = [], []
    for source in given:
        found = heredoc.parse(source)
        if found:
            found = bodies.get(found.name, found)
            inline.append(InlineFile(name=found.name, content=found.body, expand=found.expand))
        else:
            sources.append(source)
    return tuple(sources), tuple(inline), destination
