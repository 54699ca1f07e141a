"""Parser directives: `# syntax=`, `# escape=`, `# check=` at the very top of a Dockerfile.

Names in any case, each once, before every other comment, blank line and instruction. A file
that is no Dockerfile at all may name its frontend too: behind a `#!` line, with `//`, or as JSON.
"""

from __future__ import annotations

import json
import re

from sampan.build.errors import DockerfileError
from sampan.kit.record import Record

NAMES = ("syntax", "escape", "check")
_FORM = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")


class Directive(Record):
    name: str
    value: str
    line: int


class Reader:
    """Fed line by line; `done` from the first line on that is no directive."""

    def __init__(self, comment: str = "#") -> None:
        self.comment, self.done = comment, False
        self.found: dict[str, Directive] = {}

    def feed(self, text: str, number: int) -> Directive | None:
        if self.done:
            return None
        match = None
        if text.startswith(self.comment):
            match = _FORM.match(text[len(self.comment) :].lstrip())
        if not match or match[1].lower() not in NAMES:
            self.done = True
            return None
        name = match[1].lower()
        if name in self.found:
            raise DockerfileError(f"only one {name} parser directive can be used", number)
        self.found[name] = Directive(name=name, value=match[2], line=number)
        return self.found[name]


def escape_of(directive: Directive) -> str:
    if directive.value not in ("\\", "`"):
        raise DockerfileError(
            f"invalid escape token '{directive.value}' does not match ` or \\", directive.line
        )
    return directive.value


def find(name: str, text: str, *, any_form: bool = False) -> Directive | None:
    """The directive of that name; with `any_form` also behind `//` and in a JSON object."""
    text = text.removeprefix("\ufeff")
    skipped = text.startswith("#!")
    lines = text.split("\n")[skipped:]
    for comment in ("#", "//") if any_form else ("#",):
        found = _read(Reader(comment), lines, 1 + skipped).get(name)
        if found:
            return found
    return _from_json(name, "\n".join(lines), 1 + skipped) if any_form else None


def _read(reader: Reader, lines: list[str], first: int) -> dict[str, Directive]:
    try:
        for number, line in enumerate(lines, first):
            if reader.feed(line, number) is None:
                break
    except DockerfileError:
        pass  # the parser proper complains about a second one; what stood before it counts here
    return reader.found


def _from_json(name: str, text: str, line: int) -> Directive | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    value = document.get(name) if isinstance(document, dict) else None
    return Directive(name=name, value=value, line=line) if isinstance(value, str) else None
