"""A command is a record, and its options are one table.

From the table come the parser (here), the help text (`help`), completion (`complete`) and man
pages (`man`). The syntax is Docker's: `-it`, `-p8080:80`, `--rm=false`, `--name x`, `--name=x`,
`--`; options end at the first operand where a command says so (`run`, `exec`).

    COMMAND = Command(
        name="pause", summary="…", operands="CONTAINER [CONTAINER...]", at_least=1,
        completes="running",
    )

A command's module holds `COMMAND` and `run(session, args) -> int | None`.
"""

from __future__ import annotations

from sampan.cli import values
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MANY = 1 << 30


class Option(Record):
    name: str  # long name; also the key in Arguments
    short: str = ""
    kind: str = "string"  # a key of values.KINDS
    help: str
    metavar: str = ""  # what help calls the value; the kind's own word if empty
    default: Any = None
    shown_default: str = ""  # where help names a default that is not `default`
    completes: str = ""  # a key of complete.SOURCES, "file", "dir", or "a|b|c"
    hidden: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How errors call it: `-e, --env`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def option(flags: str, kind: str, help_text: str, **more: Any) -> Option:
    """`option("-e --env", "list", "…")`: a row of a table, written shortly."""
    names = flags.split()
    short = names[0][1:] if len(names[0]) == 2 else ""
    long = [name[2:] for name in names if name.startswith("--")]
    return Option(
        name=long[0], short=short, aliases=tuple(long[1:]), kind=kind, help=help_text, **more
    )


class Command(Record):
    name: str  # "run", "volume create"
    aliases: tuple[str, ...] = ()  # "container run"
    summary: str  # one line, for lists of commands
    description: str = ""  # more, for the man page and --help
    operands: str = ""  # "IMAGE [COMMAND] [ARG...]"; two forms with "  or  " between
    at_least: int = 0
    at_most: int = MANY
    options: tuple[Option, ...] = ()
    interspersed: bool = True  # False: options end at the first operand
    completes: str = ""  # what operands are, as Option.completes
    examples: tuple[tuple[str, str], ...] = ()  # (command line, what it does), for the man page
    hidden: bool = False
    verbatim: bool = False  # every word is an operand

    def usage(self, program: str = "sampan") -> str:
        words = [program, self.name]
        if self.options:
            words.append("[OPTIONS]")
        start = " ".join(words)
        if not self.operands:
            return start
        return "\n\t".join(f"{start} {form}" for form in self.operands.split("  or  "))


class UsageError(errors.InvalidArgument):
    """The command line is wrong; `code` is the exit code Docker has for it."""

    def __init__(
        self, message: str, command: Command | None = None, *, code: int = 125, usage: bool = True
    ) -> None:
        super().__init__(message)
        self.command = command
        self.code = code
        self.usage = usage


class HelpWanted(Exception):
    """`--help` was among the options."""


class Arguments:
    """What a command line said: `args["all"]`, `args.operands`, `args.given("all")`."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.operands: list[str] = []
        self._values: dict[str, Any] = {}
        self._defaults = {o.name: _default(o) for o in command.options}

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._defaults[name]

    def given(self, name: str) -> bool:
        """Whether the option stood on the command line."""
        return name in self._values

    def set(self, name: str, value: Any) -> None:
        self._values[name] = value

    def fail(self, message: str, *, code: int = 125) -> UsageError:
        """An error in the meaning of the line, not in its form: no usage line. With code 1 the
        message stands alone, else it names the command's help."""
        return UsageError(message, self.command, code=code, usage=False)

    def add(self, option_: Option, text: str, shown: str) -> None:
        """Parse a value and keep it; a repeatable option collects."""
        kind = values.KINDS[option_.kind]
        try:
            value = kind.parse(text)
        except ValueError as error:
            if kind.told_plainly:
                raise self.fail(str(error)) from error
            message = f'invalid argument "{text}" for "{shown}" flag: {error}'
            raise UsageError(message, self.command) from error
        if kind.collect is not None:
            value = kind.collect(self._values.get(option_.name), value)
        self._values[option_.name] = value


def _default(option_: Option) -> Any:
    if option_.default is not None:
        return option_.default
    empty = values.KINDS[option_.kind].empty
    return empty.copy() if isinstance(empty, list | dict) else empty


class Parser:
    """One pass over a command line; see `parse`."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.args = Arguments(command)
        self._long = {o.name: o for o in command.options}
        self._long.update((alias, o) for o in command.options for alias in o.aliases)
        self._short = {o.short: o for o in command.options if o.short}

    def parse(self, words: Sequence[str]) -> Arguments:
        rest = [] if self.command.verbatim else list(words)
        self.args.operands += words if self.command.verbatim else ()
        while rest:
            word = rest.pop(0)
            if word == "--":
                self.args.operands += rest
                break
            if word.startswith("--"):
                self._take_long(word, rest)
            elif word.startswith("-") and len(word) > 1:
                self._take_short(word, rest)
            else:
                self.args.operands.append(word)
                if not self.command.interspersed:
                    self.args.operands += rest
                    break
        self._count()
        return self.args

    def _take_long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if name == "help" and "help" not in self._long:
            raise HelpWanted
        found = self._long.get(name)
        if found is None:
            raise UsageError(f"unknown flag: --{name}{_meant(name, self._long)}", self.command)
        if not equals:
            flag = values.KINDS[found.kind].flag_value
            if flag is not None:
                value = flag
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: --{name}", self.command)
        self.args.add(found, value, found.label)

    def _take_short(self, word: str, rest: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            found = self._short.get(letter)
            if found is None:
                if letter == "h" and len(word) == 2:
                    raise HelpWanted
                raise UsageError(f"unknown shorthand flag: '{letter}' in {word}", self.command)
            flag = values.KINDS[found.kind].flag_value
            if letters.startswith("="):
                value, letters = letters[1:], ""
            elif flag is not None:
                value = flag
            elif letters:
                value, letters = letters, ""
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in {word}", self.command)
            self.args.add(found, value, found.label)

    def _count(self) -> None:
        count, least, most = len(self.args.operands), self.command.at_least, self.command.at_most
        if least <= count <= most:
            return
        name = f"'sampan {self.command.name}'"
        if most == 0:
            message = f"{name} accepts no arguments"
        elif least == most:
            message = f"{name} requires {least} argument{'s' * (least != 1)}"
        elif count < least:
            message = f"{name} requires at least {least} argument{'s' * (least != 1)}"
        else:
            message = f"{name} requires at most {most} argument{'s' * (most != 1)}"
        raise UsageError(message, self.command, code=1)


def parse(command: Command, words: Sequence[str]) -> Arguments:
    """Raises UsageError and HelpWanted."""
    return Parser(command).parse(words)


def _meant(name: str, known: dict[str, Option]) -> str:
    from sampan.kit import nearest

    guess = nearest.one(name, known)
    return f" (did you mean --{guess}?)" if guess else ""
