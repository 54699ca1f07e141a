"""Manual pages in roff (man(7)), one a command, from the option tables."""

from __future__ import annotations

from sampan.cli import commands, help

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Command, Option

SECTION = "1"


def pages() -> dict[str, str]:
    """File name → page, for `sampan` itself and all commands that are shown."""
    from sampan.cli.main import SAMPAN
    from sampan.cli.oci import man_page

    found = {
        f"sampan.{SECTION}": _program(SAMPAN),
        f"sampan-oci.{SECTION}": man_page.page(),
    }
    for module in commands.every():
        record: Command = module.COMMAND
        if not record.hidden:
            found[f"{_page(record.name)}.{SECTION}"] = _command(record)
    return found


def _page(name: str) -> str:
    return "-".join(["sampan", *name.split()])


def escape(text: str) -> str:
    """Text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _head(name: str, summary: str) -> list[str]:
    return [
        f'.TH "{_page(name).upper()}" "{SECTION}" "" "Sampan" "Sampan manual"',
        ".SH NAME",
        f"{escape(_page(name))} \\- {escape(summary[0].lower() + summary[1:])}",
        ".SH SYNOPSIS",
    ]


def _command(record: Command) -> str:
    lines = _head(record.name, record.summary)
    options = " [OPTIONS]" if record.options else ""
    operands = f" {record.operands}" if record.operands else ""
    lines.append(f".B sampan {record.name}")
    if options or operands:
        lines.append(escape(f"{options}{operands}".strip()))
    if record.description:
        lines += [".SH DESCRIPTION", escape(record.description)]
    shown = [o for o in record.options if not o.hidden]
    if shown:
        lines.append(".SH OPTIONS")
        for option in sorted(shown, key=lambda o: o.name):
            lines += _option(option)
    if record.examples:
        lines.append(".SH EXAMPLES")
        for line, meaning in record.examples:
            lines += [".TP", f".B {escape(line)}", escape(meaning)]
    if record.aliases:
        lines += [".SH ALIASES", ", ".join(escape(f"sampan {a}") for a in record.aliases)]
    lines += [".SH SEE ALSO", ".BR sampan (1)"]
    return "\n".join(lines) + "\n"


def _option(option: Option) -> list[str]:
    names = ([f"-{option.short}"] if option.short else []) + [f"--{option.name}"]
    flags = ", ".join(f"\\fB{escape(name)}\\fR" for name in names)
    word = help.metavar(option)
    value = f" \\fI{escape(word)}\\fR" if word else ""
    return [".TP", flags + value, escape(option.help + help.default(option))]


def _program(root: Command) -> str:
    lines = [*_head("", root.summary), ".B sampan", escape("[OPTIONS] COMMAND [ARG...]")]
    lines += [
        ".SH DESCRIPTION",
        "Speaks the Docker API to an engine, and starts one where none runs.",
        ".SH OPTIONS",
    ]
    for option in sorted(root.options, key=lambda o: o.name):
        lines += _option(option)
    lines.append(".SH COMMANDS")
    for module in commands.every():
        record: Command = module.COMMAND
        if not record.hidden:
            lines += [".TP", f".BR {escape(_page(record.name))} (1)", escape(record.summary)]
    lines.append(".SH ENVIRONMENT")
    for name, meaning in (
        ("SAMPAN_HOST", "The engine to speak to, as -H."),
        ("SAMPAN_ROOT", "The directory of state, as --root."),
        ("SAMPAN_RUN", "The directory of sockets, as --run."),
        ("DOCKER_API_VERSION", "The version of the API to speak, instead of the newest of both."),
        ("DOCKER_CONFIG", "The directory of config.json, as --config."),
    ):
        lines += [".TP", f".B {name}", escape(meaning)]
    lines += [".SH FILES", ".TP", ".I /run/sampan/sampan.sock", "The default engine's socket."]
    return "\n".join(lines) + "\n"
