"""Variables, quotes and words, as a Dockerfile's instructions understand them.

`Lexer(escape).expand(word, env)` gives the text with its variables replaced, the same split into
words (after the replacement, quotes honoured), and which names were met. Modifiers: `:-` `-` `:+`
`+` `:?` `?` `#` `##` `%` `%%` `/` `//`. `RUN` is left to its shell.
Source: "Environment replacement" in BuildKit's Dockerfile reference.
The parser uses it with `raw_*` and `keep_unset` too: nothing is replaced then, only split.
"""

from __future__ import annotations

from sampan.build import patterns
from sampan.build.errors import ExpansionFailed
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SPECIAL = "@*#?-$!0"  # POSIX 2.5.2: special parameters, one character each
_DEPTH = 64  # `${a:-${b:-…}}`: beyond it somebody is playing


class Expansion(Record):
    text: str
    words: tuple[str, ...]
    used: frozenset[str]
    missing: frozenset[str]


class Lexer(Record):
    escape: str = "\\"
    raw_quotes: bool = False  # quotes stay in the result
    raw_escapes: bool = False  # so do escape characters
    keep_unset: bool = False  # `$name` stays where the name has no value
    keep_quotes: bool = False  # quotes mean nothing at all

    def expand(self, source: str, env: Mapping[str, str]) -> Expansion:
        scan = _Scan(self, source, env)
        try:
            text, words = scan.until("", self.raw_escapes)
        except ExpansionFailed as error:
            raise ExpansionFailed(f'failed to process "{source}": {error.reason}') from None
        return Expansion(
            text=text,
            words=tuple(words),
            used=frozenset(scan.used),
            missing=frozenset(scan.missing),
        )


class _Words:
    """Text that is split at its spaces unless they are quoted; empty words do not exist."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._open = ""

    def quoted(self, text: str) -> None:
        self._open += text

    def plain(self, text: str) -> None:
        for char in text:
            if not char.isspace():
                self._open += char
            elif self._open:
                self.end()

    def end(self) -> list[str]:
        if self._open:
            self.done.append(self._open)
            self._open = ""
        return self.done


class _Scan:
    def __init__(self, lexer: Lexer, source: str, env: Mapping[str, str]) -> None:
        self.lexer, self.source, self.env = lexer, source, env
        self.at = self.depth = 0
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += len(char)
        return char

    def until(self, stop: str, raw: bool) -> tuple[str, list[str]]:
        """What stands before an unquoted `stop`, which is consumed; everything if it is empty."""
        self.depth += 1
        if self.depth > _DEPTH:
            raise ExpansionFailed(f"substitutions nested deeper than {_DEPTH}")
        result: list[str] = []
        words = _Words()
        while char := self.peek():
            if char == stop:
                self.at += 1
                self.depth -= 1
                return "".join(result), words.end()
            result.append(self._piece(char, words, raw))
        if stop:
            raise ExpansionFailed(f"unexpected end of statement while looking for matching {stop}")
        self.depth -= 1
        return "".join(result), words.end()

    def _piece(self, char: str, words: _Words, raw: bool) -> str:
        quotes = not self.lexer.keep_quotes
        if char == "$":
            text = self._variable()
            words.plain(text)
            return text
        if char == "'" and quotes:
            text = self._single()
        elif char == '"' and quotes:
            text = self._double(raw)
        elif char == "<":
            text = self._arrows()
        elif char == self.lexer.escape:
            self.at += 1
            text = (char if raw else "") + self.next()
        else:
            self.at += 1
            words.plain(char)
            return char
        words.quoted(text)
        return text

    def _single(self) -> str:
        end = self.source.find("'", self.at + 1)
        if end < 0:
            raise ExpansionFailed(
                "unexpected end of statement while looking for matching single-quote"
            )
        inner, self.at = self.source[self.at + 1 : end], end + 1
        return f"'{inner}'" if self.lexer.raw_quotes else inner

    def _double(self, raw: bool) -> str:
        """Inside, only `$` has a meaning, and the escape character before `"`, `$` and itself."""
        quote = self.next() if self.lexer.raw_quotes else self.next()[:0]
        result = [quote]
        while char := self.peek():
            if char == "$":
                result.append(self._variable())
                continue
            self.at += 1
            if char == '"':
                return "".join([*result, quote])
            if char == self.lexer.escape:
                follower = self.peek()
                if raw:
                    result.append(char)
                if not follower:
                    break
                if follower in ('"', "$", self.lexer.escape):
                    char = self.next()
            result.append(char)
        raise ExpansionFailed("unexpected end of statement while looking for matching double-quote")

    def _arrows(self) -> str:
        """`<<  WORD` is one word: a heredoc's name may stand apart from its arrows."""
        self.at += 1
        if self.peek() != "<":
            return "<"
        start = self.at
        self.at += 1
        while self.peek() and self.peek() in "\t\r ":
            self.at += 1
        return "<" + self.source[start : self.at]

    def _name(self) -> str:
        start = self.at
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.at += 1
        elif first and first in _SPECIAL:
            self.at += 1
        else:
            while (char := self.peek()) and (char.isalnum() or char == "_"):
                self.at += 1
        return self.source[start : self.at]

    def _value(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.missing if value is None else self.used).add(name)
        return value

    def _variable(self) -> str:
        self.at += 1
        if self.peek() == "{":
            self.at += 1
            return self._braced()
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        if value is None:
            return "$" + name if self.lexer.keep_unset else ""
        return value

    def _braced(self) -> str:
        if not self.peek():
            raise ExpansionFailed("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise ExpansionFailed("syntax error: bad substitution")
        name = self._name()
        modifier = self.next()
        if modifier == "}":
            value = self._value(name)
            if value is None:
                return f"${{{name}}}" if self.lexer.keep_unset else ""
            return value
        if modifier == "/":
            return self._substituted(name)
        colon = modifier == ":"
        if colon:
            modifier += self.next()
        if modifier[-1:] not in ("+", "-", "?", *(() if colon else ("#", "%"))):
            raise ExpansionFailed(f"unsupported modifier ({modifier}) in substitution")
        return self._modified(name, modifier)

    def _operand(self, stop: str, raw: bool) -> str:
        try:
            return self.until(stop, raw)[0]
        except ExpansionFailed:
            if not self.peek():
                raise ExpansionFailed(f"syntax error: missing '{stop}' in ${{}}") from None
            raise

    def _modified(self, name: str, modifier: str) -> str:
        kind = modifier[-1]
        word = self._operand("}", kind in "#%")
        value = self._value(name)
        if value is None and self.lexer.keep_unset:
            return f"${{{name}{modifier}{word}}}"
        there = bool(value) if modifier[0] == ":" else value is not None
        if kind == "-":
            return (value or "") if there else word
        if kind == "+":
            return word if there else ""
        if kind == "?":
            if not there:
                state = "unset" if value is None else "empty"
                raise ExpansionFailed(f"{name}: {word or f'is not allowed to be {state}'}")
            return value or ""
        longest = word.startswith(kind)
        trim = patterns.without_prefix if kind == "#" else patterns.without_suffix
        return trim(word[1:] if longest else word, value or "", longest)

    def _substituted(self, name: str) -> str:
        everywhere = self.peek() == "/"
        self.at += everywhere
        pattern = self._operand("/", True)
        replacement = self._operand("}", True)
        value = self._value(name)
        if value is None and self.lexer.keep_unset:
            return f"${{{name}/{'/' * everywhere}{pattern}/{replacement}}}"
        return patterns.replaced(pattern, value or "", replacement, everywhere)
