"""Here-documents of `RUN`, `COPY` and `ADD`: `<<EOF`, `<<-EOF` (tabs go), `<<"EOF"` (as it is)."""

from __future__ import annotations

import re

from sampan.build.errors import ExpansionFailed
from sampan.build.shell import Lexer
from sampan.kit.record import Record

_FORM = re.compile(r"(\d*)<<(-?)\s*([^<]*)\Z")
_TABS = re.compile(r"^\t+", re.MULTILINE)
_SPLIT = Lexer(raw_quotes=True, raw_escapes=True, keep_unset=True)
_BARE, _QUOTED = Lexer(keep_unset=True), Lexer(keep_unset=True, raw_quotes=True)


class Heredoc(Record):
    name: str  # the terminator, without its quotes
    expand: bool = True
    chomp: bool = False
    descriptor: int = 0
    content: str = ""

    @property
    def body(self) -> str:
        """The content as a file or a script gets it."""
        return _TABS.sub("", self.content) if self.chomp else self.content

    def ends_with(self, line: str) -> bool:
        line = line.rstrip("\r\n")
        return (line.lstrip("\t") if self.chomp else line) == self.name


def parse(word: str) -> Heredoc | None:
    match = _FORM.match(word)
    if not match or not match[3]:
        return None
    bare, quoted = _BARE.expand(match[3], {}).words, _QUOTED.expand(match[3], {}).words
    if len(bare) != 1 or len(quoted) != 1:
        return None
    return Heredoc(
        name=bare[0],
        expand=_quotes(bare[0]) == _quotes(quoted[0]),
        chomp=bool(match[2]),
        descriptor=int(match[1] or 0),
    )


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')


def of_line(line: str) -> list[Heredoc]:
    """Those that a logical line announces, in its order; their contents follow it."""
    try:
        words = _SPLIT.expand(line, {}).words
    except ExpansionFailed:
        return []  # `RUN echo "<<` is the shell's to complain about
    return [found for word in words if (found := parse(word))]
