"""`--help`: Docker's layout, from the option tables."""

from __future__ import annotations

import os

from sampan.cli import commands, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Command, Option

_COMMON = ("run", "exec", "ps", "pull", "push", "images", "login", "logout", "version", "info")


def program(root: Command) -> str:
    """The list of all commands."""
    top = {n: m for n, m in commands.NAMES.items() if " " not in n and not n.startswith("_")}
    summaries = {name: commands.get(name).COMMAND.summary for name in top}
    common = [(name, summaries[name]) for name in _COMMON]
    others = sorted((n, s) for n, s in summaries.items() if n not in _COMMON)
    groups = sorted(commands.GROUPS.items())
    parts = [
        f"Usage:  sampan [OPTIONS] {root.operands}",
        "Run containers: images, engine and registry client in one.",
        _section("Common Commands", common),
        _section("Management Commands", groups),
        _section("Commands", others),
        _section("Global Options", _rows(root)),
        "See 'sampan COMMAND --help' for more about a command.",
    ]
    return "\n\n".join(parts)


def group(name: str) -> str:
    """The commands of one noun: `sampan volume`."""
    found = {}
    for full in commands.NAMES:
        if full.startswith(f"{name} "):
            command = commands.get(full).COMMAND
            names = (command.name, *command.aliases)
            shown = next(n for n in names if n.startswith(f"{name} "))
            found[shown.split(" ", 1)[1]] = command.summary
    parts = [
        f"Usage:  sampan {name} COMMAND",
        commands.GROUPS[name],
        _section("Commands", sorted(found.items())),
        f"See 'sampan {name} COMMAND --help' for more about a command.",
    ]
    return "\n\n".join(parts)


def command(record: Command) -> str:
    """One command."""
    parts = [f"Usage:  {record.usage()}", record.summary]
    if record.description:
        parts.append("\n".join(wrap(record.description, _width())))
    if record.aliases:
        names = ", ".join(f"sampan {name}" for name in (*record.aliases, record.name))
        parts.append(f"Aliases:\n  {names}")
    rows = _rows(record)
    if rows:
        parts.append(_section("Options", rows))
    return "\n\n".join(parts)


def _width() -> int:
    try:
        return max(60, os.get_terminal_size().columns)
    except OSError:
        return 80


def _rows(record: Command) -> list[tuple[str, str]]:
    shown = sorted((o for o in record.options if not o.hidden), key=lambda o: o.name)
    return [(flags(o), o.help + default(o)) for o in shown]


def flags(option: Option) -> str:
    """`-m, --memory bytes`."""
    short = f"-{option.short}, " if option.short else "    "
    word = metavar(option)
    return f"{short}--{option.name}{' ' + word if word else ''}"


def metavar(option: Option) -> str:
    return option.metavar or values.KINDS[option.kind].metavar


def default(option: Option) -> str:
    """` (default …)` where there is one worth naming."""
    value = option.shown_default or option.default
    if value in (None, "", [], {}, 0, False):
        return ""
    if value is True:
        value = "true"
    quoted = f'"{value}"' if option.kind == "string" else str(value)
    return f" (default {quoted})"


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    left = max((len(name) for name, _ in rows), default=0)
    lines = [f"{title}:"]
    for name, text in rows:
        first, *more = wrap(text, max(30, _width() - left - 5)) or [""]
        lines.append(f"  {name:<{left}}   {first}".rstrip())
        lines += [" " * (left + 5) + line for line in more]
    return "\n".join(lines)


def wrap(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
