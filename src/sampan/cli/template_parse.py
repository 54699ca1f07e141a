"""Go's text/template language: from text to a tree.

Nodes are tuples, their first item says which:
    ("text", str)  ("pipe", pipeline)  ("set", name, declares, pipeline)
    ("if" | "with", pipeline, body, otherwise)
    ("range", (names…), pipeline, body, otherwise)  ("break",)  ("continue",)
A pipeline is a list of commands, a command a list of operands, an operand one of
    ("const", value)  ("dot",)  ("var", name)  ("field", operand, name)  ("call", function)
    ("paren", pipeline)

Source: the language as https://pkg.go.dev/text/template describes it. Not here: define, template,
block, complex and rune constants.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Token = tuple[str, Any]  # kind ("word", "field", "var", "const", "dot", or itself), value
    Node = tuple[Any, ...]
    Operand = tuple[Any, ...]
    Pipeline = list[list[Operand]]

_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'", "a": "\a"}
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"


class TemplateError(ValueError):
    """What is wrong with a template, or what it asks for."""


def parse(text: str) -> list[Node]:
    return _Parser(_split(text)).parse()


def _split(text: str) -> list[tuple[str, str]]:
    """Pieces ("text" or "action"), trim markers applied, comments left out."""
    pieces: list[tuple[str, str]] = []
    trim = False
    while True:
        literal, found, rest = text.partition("{{")
        if trim:
            literal = literal.lstrip(_SPACE)
        if not found:
            pieces.append(("text", literal))
            return pieces
        if rest[:1] == "-" and rest[1:2] in tuple(_SPACE):
            literal, rest = literal.rstrip(_SPACE), rest[1:]
        pieces.append(("text", literal))
        action, text = _take_action(rest)
        trim = action.endswith("-") and action[-2:-1] in tuple(_SPACE)
        action = (action[:-1] if trim else action).strip(_SPACE)
        if not (action.startswith("/*") and action.endswith("*/")):
            pieces.append(("action", action))


def _take_action(rest: str) -> tuple[str, str]:
    """An action up to its `}}`, which may stand inside a string, and what follows it."""
    if rest.lstrip(_SPACE).startswith("/*"):
        end = rest.find("*/")
        close = rest.find("}}", end)
        if end < 0 or close < 0:
            raise TemplateError("unclosed comment")
        return rest[:close], rest[close + 2 :]
    index, quote = 0, ""
    while index < len(rest):
        character = rest[index]
        if quote:
            if character == "\\" and quote == '"':
                index += 1
            elif character == quote:
                quote = ""
        elif character in '"`':
            quote = character
        elif rest.startswith("}}", index):
            return rest[:index], rest[index + 2 :]
        index += 1
    raise TemplateError("unterminated quoted string" if quote else "unclosed action")


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    index = 0
    while index < len(text):
        character = text[index]
        if character in _SPACE:
            tokens.append(("space", ""))
            index += 1
            continue
        token, index = _token(text, index)
        tokens.append(token)
    return tokens


def _token(text: str, index: int) -> tuple[Token, int]:
    character = text[index]
    if character in '"`':
        return _string(text, index)
    if text.startswith(":=", index):
        return (":=", ""), index + 2
    if character in "|(),=":
        return (character, ""), index + 1
    following = text[index + 1 : index + 2]
    if character.isdecimal() or (character in "+-" and following.isdecimal()):
        return _number(text, index)
    end = index + 1
    while end < len(text) and text[end] in _WORD:
        end += 1
    if character == "$":
        return ("var", text[index:end]), end
    if character == ".":
        return (("field", text[index + 1 : end]) if end > index + 1 else ("dot", "")), end
    if character in _WORD:
        return ("word", text[index:end]), end
    raise TemplateError(f"unexpected {character!r} in command")


def _string(text: str, index: int) -> tuple[Token, int]:
    quote, out, index = text[index], "", index + 1
    while index < len(text) and text[index] != quote:
        if quote == '"' and text[index] == "\\":
            index += 1
            out += _ESCAPES.get(text[index : index + 1], text[index : index + 1])
        else:
            out += text[index]
        index += 1
    if index >= len(text):
        raise TemplateError("unterminated quoted string")
    return ("const", out), index + 1


def _number(text: str, index: int) -> tuple[Token, int]:
    end = index + 1
    while end < len(text) and (text[end] in _WORD or text[end] == "."):
        end += 1
    word = text[index:end]
    try:
        value: int | float = int(word, 0)
    except ValueError:
        try:
            value = float(word)
        except ValueError:
            raise TemplateError(f"bad number syntax: {word!r}") from None
    return ("const", value), end


_CONSTANTS = {"true": True, "false": False, "nil": None}


class _Parser:
    def __init__(self, pieces: list[tuple[str, str]]) -> None:
        self._pieces = pieces
        self._at = 0

    def parse(self) -> list[Node]:
        nodes, end = self._block(())
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return nodes

    def _block(self, ends: tuple[str, ...]) -> tuple[list[Node], str]:
        """Nodes up to one of `ends`, and the action that ended them ("" at the end of all)."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            kind, text = self._pieces[self._at]
            self._at += 1
            if kind == "text":
                if text:
                    nodes.append(("text", text))
                continue
            word = text.split(" ")[0].split("(")[0]
            if word in ("end", "else"):
                if word not in ends:
                    raise TemplateError(f"unexpected {{{{{word}}}}}")
                return nodes, text
            nodes.append(self._action(word, text))
        if ends:
            raise TemplateError("unexpected EOF")
        return nodes, ""

    def _action(self, word: str, text: str) -> Node:
        if word in ("if", "with"):
            return self._branch(word, text[len(word) :])
        if word == "range":
            return self._range(text[len("range") :])
        if text in ("break", "continue"):
            return (text,)
        if word in ("define", "template", "block"):
            raise TemplateError(f"{{{{{word}}}}} is not supported")
        if not text:
            raise TemplateError("missing value for command")
        names, declares, pipeline = _declaration(_tokens(text))
        return ("set", names[0], declares, pipeline) if names else ("pipe", pipeline)

    def _branch(self, word: str, condition: str) -> Node:
        names, _, pipeline = _declaration(_tokens(condition))
        body, end = self._block(("else", "end"))
        node = (word, pipeline, body, self._otherwise(end))
        # `{{with $x := …}}`: the variable lives in the block, which has a scope of its own.
        return ("scope", [("set", names[0], True, pipeline), node]) if names else node

    def _otherwise(self, end: str) -> list[Node]:
        if end == "end":
            return []
        rest = end[len("else") :].strip(_SPACE)
        if rest:
            word = rest.split(" ")[0]
            if word not in ("if", "with"):
                raise TemplateError(f"unexpected {rest!r} after else")
            return [self._branch(word, rest[len(word) :])]
        body, _ = self._block(("end",))
        return body

    def _range(self, header: str) -> Node:
        names, _, pipeline = _declaration(_tokens(header), most=2)
        body, end = self._block(("else", "end"))
        return ("range", names, pipeline, body, self._otherwise(end))


def _declaration(tokens: list[Token], most: int = 1) -> tuple[tuple[str, ...], bool, Pipeline]:
    """`$a, $b := pipeline` taken apart: names, whether they are new, pipeline."""
    marks = [i for i, token in enumerate(tokens) if token[0] in (":=", "=")]
    if not marks:
        return (), False, _Commands(tokens).pipeline()
    left = [token for token in tokens[: marks[0]] if token[0] not in ("space", ",")]
    if any(kind != "var" for kind, _ in left) or not 0 < len(left) <= most:
        raise TemplateError("only variables can be assigned to")
    names = tuple(value for _, value in left)
    return names, tokens[marks[0]][0] == ":=", _Commands(tokens[marks[0] + 1 :]).pipeline()


class _Commands:
    """The operands between `{{` and `}}`."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens

    def pipeline(self, close: str = "") -> Pipeline:
        commands: Pipeline = [[]]
        while self._tokens:
            kind, value = self._tokens.pop(0)
            if kind == "space":
                continue
            if kind == ")" and close:
                break
            if kind == "|":
                commands.append([])
                continue
            commands[-1].append(self._operand(kind, value))
        else:
            if close:
                raise TemplateError("unclosed left paren")
        if not all(commands):
            raise TemplateError("missing value for command")
        return commands

    def _operand(self, kind: str, value: Any) -> Operand:
        operand: Operand
        if kind == "(":
            operand = ("paren", self.pipeline(")"))
        elif kind == "dot":
            operand = ("dot",)
        elif kind == "field":
            operand = ("field", ("dot",), value)
        elif kind in ("var", "const"):
            operand = (kind, value)
        elif kind == "word" and value in _CONSTANTS:
            operand = ("const", _CONSTANTS[value])
        elif kind == "word":
            return ("call", value)
        else:
            raise TemplateError(f"unexpected {kind!r} in command")
        while self._tokens and self._tokens[0][0] == "field":
            operand = ("field", operand, self._tokens.pop(0)[1])
        return operand
