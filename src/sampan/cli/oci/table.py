"""What a verb's option table is made of, and the parser that reads a command line by it.

The syntax is that of runc's callers: one dash or two before any name, `--name value`,
`--name=value`, switches also as `--name=false`. Where options may follow an operand (all but
`exec` and `ps`) they are found there, too; `--` ends them.

    VERB = Verb("state", "show a container", flags=(flag("--quiet -q", "", "…"),))
    values, operands = parse(["-q", "web"], VERB)
"""

from __future__ import annotations

from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MANY = 1 << 30


class UsageError(errors.InvalidArgument):
    """The command line has no meaning; the message is worded as runc's."""


class Flag(Record):
    name: str  # long name without dashes; also the key in the values
    short: str = ""
    kind: str = ""  # "" (a switch), "string", "int", "list" (repeatable)
    help: str
    default: Any = None
    hidden: bool = False


class Verb(Record):
    name: str
    summary: str
    operands: str = "<container-id>"
    at_least: int = 1
    at_most: int = 1
    flags: tuple[Flag, ...] = ()
    interspersed: bool = True  # False: options end at the first operand
    description: str = ""


class Context(Record):
    """What the global options say, for every verb."""

    root: str  # the directory of the containers' state
    root_given: bool = False
    config: str = ""  # another file than the bundle's config.json
    cgroup_manager: str = "cgroupfs"  # or "systemd", "disabled"
    rootless: bool = False
    log: Any = None  # cli.oci.log.Log


def flag(names: str, kind: str, help_text: str, **more: Any) -> Flag:
    """`flag("--bundle -b", "string", "…")`: a row of a table, written shortly."""
    long, _, short = names.partition(" ")
    return Flag(name=long[2:], short=short[1:], kind=kind, help=help_text, **more)


HELP = flag("--help -h", "", "show help")
_EMPTY: dict[str, Any] = {"": False, "string": "", "int": 0}


def parse(
    words: list[str], flags: tuple[Flag, ...], *, interspersed: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """({name: value or default}, operands)"""
    values: dict[str, Any] = {}
    known: dict[str, Flag] = {}
    for item in (*flags, HELP):
        empty = [] if item.kind == "list" else _EMPTY[item.kind]
        values[item.name] = empty if item.default is None else item.default
        known[item.name] = known[item.short or item.name] = item
    operands: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return values, operands + rest
        if not word.startswith("-") or word == "-":
            operands.append(word)
            if not interspersed:
                return values, operands + rest
            continue
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        found = known.get(name)
        if found is None:
            raise UsageError(f"flag provided but not defined: -{name}")
        if found.kind and not equals:
            if not rest:
                raise UsageError(f"flag needs an argument: {word}")
            text = rest.pop(0)
        _store(values, found, text if found.kind or equals else "true")
    return values, operands


def _store(values: dict[str, Any], found: Flag, text: str) -> None:
    if found.kind == "list":
        values[found.name] = [*values[found.name], text]
    elif found.kind == "string":
        values[found.name] = text
    elif found.kind == "int":
        if not (text.isascii() and text.removeprefix("-").isdecimal()):
            raise UsageError(f"invalid value {text!r} for flag -{found.name}: it is no number")
        values[found.name] = int(text)
    elif text in ("true", "false", "1", "0"):
        values[found.name] = text in ("true", "1")
    else:
        raise UsageError(f"invalid boolean value {text!r} for flag -{found.name}")


def check_operands(verb: Verb, program: str, operands: list[str]) -> None:
    if verb.at_least == verb.at_most != len(operands):
        wanted = f"exactly {verb.at_least}"
    elif len(operands) < verb.at_least:
        wanted = f"a minimum of {verb.at_least}"
    elif len(operands) > verb.at_most:
        wanted = f"a maximum of {verb.at_most}"
    else:
        return
    raise UsageError(f'{program}: "{verb.name}" requires {wanted} argument(s)')
