"""A Dockerfile's text as statements: what belongs together, before anybody asks what it means.

`parse(text)` joins continued lines, drops comments, collects heredocs, and cuts each logical line
into keyword, flags and arguments by that keyword's grammar. Unknown keywords pass: `instructions`
refuses them with a suggestion. Source: "Format" in BuildKit's Dockerfile reference, and its cases.
"""

from __future__ import annotations

import re

from sampan.build import arguments, directives, heredoc
from sampan.build.errors import DockerfileError
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.heredoc import Heredoc

_JSON_OR_TEXT = {"cmd", "entrypoint", "run", "shell"}
_JSON_OR_WORDS = {"add", "copy", "volume"}
_SPLIT_AT_SPACES = {"expose", "from"}
_WHOLE = {"maintainer", "stopsignal", "user", "workdir"}
_HEREDOCS = {"add", "copy", "run"}


class Statement(Record):
    keyword: str  # as written
    args: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str, str], ...] = ()  # ENV and LABEL: name, value, "=" or ""
    flags: tuple[str, ...] = ()
    json: bool = False
    trigger: Statement | None = None  # ONBUILD's own statement
    heredocs: tuple[Heredoc, ...] = ()
    original: str = ""
    line: int = 0
    end: int = 0
    comments: tuple[str, ...] = ()  # those directly above

    @property
    def name(self) -> str:
        return self.keyword.lower()


class Document(Record):
    statements: tuple[Statement, ...]
    escape: str
    directives: dict[str, directives.Directive]
    empty_continuations: tuple[int, ...]  # lines at whose end a blank line was skipped


def parse(text: str) -> Document:
    return _Parser(text).document()


class _Parser:
    def __init__(self, text: str) -> None:
        body = text.removeprefix("\ufeff")
        self.lines = body.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.at = 0  # lines consumed, which is the number of the last one
        self.reader = directives.Reader()
        self.empty: list[int] = []
        self.comments: list[str] = []
        self._escape_with("\\")

    def _escape_with(self, escape: str) -> None:
        token = re.escape(escape)
        self.escape = escape
        self.continued = re.compile(rf"(?:(?<=[^{token}])|^){token}[ \t]*\Z")

    def document(self) -> Document:
        statements = []
        while self.at < len(self.lines):
            start = self.at + 1
            try:
                statement = self._statement()
            except DockerfileError as error:
                raise error.at(start, max(self.at, start)) from None
            if statement:
                statements.append(statement)
                self.comments = []
        if not statements:
            raise DockerfileError("file with no instructions", max(1, self.at))
        return Document(
            statements=tuple(statements),
            escape=self.escape,
            directives=self.reader.found,
            empty_continuations=tuple(self.empty),
        )

    def _statement(self) -> Statement | None:
        start = self.at + 1
        line = self._logical_line()
        if not line:
            return None
        statement = _cut(line, self.escape)
        inner = statement.trigger or statement
        heredocs: list[Heredoc] = []
        if "<<" in line and inner.name in _HEREDOCS and not inner.json:
            heredocs = [self._filled(found) for found in heredoc.of_line(line)]
        return statement.replace(
            heredocs=tuple(heredocs), line=start, end=self.at, comments=tuple(self.comments)
        )

    def _logical_line(self) -> str:
        text = self._take().lstrip()
        if text.startswith("#"):
            self._comment(text)
            return ""
        self.reader.done = True
        pieces, open_ = self._piece(text)
        blank = False
        while open_ and self.at < len(self.lines):
            text = self._take()
            if text.lstrip().startswith("#"):
                continue
            if not text.strip():
                blank = True
                continue
            more, open_ = self._piece(text)
            pieces += more
        if blank:
            self.empty.append(self.at)
        return pieces

    def _take(self) -> str:
        self.at += 1
        return self.lines[self.at - 1].rstrip("\r")

    def _piece(self, text: str) -> tuple[str, bool]:
        cut = self.continued.sub("", text)
        return cut, cut != text

    def _comment(self, text: str) -> None:
        found = self.reader.feed(text, self.at)
        if found:
            if found.name == "escape":
                self._escape_with(directives.escape_of(found))
            return
        comment = text[1:].strip()
        self.comments = [*self.comments, comment] if comment else []

    def _filled(self, found: Heredoc) -> Heredoc:
        start = self.at
        while self.at < len(self.lines):
            self.at += 1
            if found.ends_with(self.lines[self.at - 1]):
                body = self.lines[start : self.at - 1]
                return found.replace(content="".join(line + "\n" for line in body))
        raise DockerfileError(f"unterminated heredoc: no line is {found.name}")


def line(text: str, escape: str = "\\") -> Statement:
    """One logical line that stands alone: a base image's ONBUILD trigger."""
    return parse(text).statements[0] if "\n" in text else _cut(text, escape)


def _cut(text: str, escape: str) -> Statement:
    keyword, rest = arguments.keyword(text)
    flags, rest = arguments.flags(rest, escape)
    bare = Statement(keyword=keyword, flags=flags, original=text)
    name = bare.name
    if name in ("env", "label"):
        return bare.replace(pairs=tuple(arguments.pairs(rest, escape, name.upper())))
    if name == "onbuild":
        return bare.replace(trigger=_cut(rest, escape)) if rest else bare
    if name == "arg":
        return bare.replace(args=tuple(arguments.words(rest, escape)))
    if name == "healthcheck":
        return _healthcheck(bare, rest)
    args, json = _args(name, rest)
    return bare.replace(args=args, json=json)


def _args(name: str, rest: str) -> tuple[tuple[str, ...], bool]:
    if name in _JSON_OR_TEXT or name in _JSON_OR_WORDS:
        array = arguments.json_array(rest)
        if array is not None:
            return tuple(array), True
    if not rest:
        return (), False
    if name in _JSON_OR_WORDS or name in _SPLIT_AT_SPACES:
        return tuple(arguments.SPACES.split(rest)), False
    if name in _JSON_OR_TEXT or name in _WHOLE:
        return (rest,), False
    return (), False


def _healthcheck(bare: Statement, rest: str) -> Statement:
    """Its kind (CMD, NONE), then a command like CMD's."""
    if not rest:
        return bare
    parts = arguments.SPACES.split(rest, maxsplit=1)
    kind, command = parts[0], parts[1] if len(parts) == 2 else ""
    args, json = _args("cmd", command)
    return bare.replace(args=(kind, *args), json=json)
