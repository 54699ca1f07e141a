"""The manual page of `sampan-oci`, from the same tables as its `--help`."""

from __future__ import annotations

from sampan.cli import oci, sampan_oci
from sampan.cli.man_pages import escape
from sampan.cli.oci import help as helps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.oci.table import Flag, Verb


def page() -> str:
    lines = [
        '.TH "SAMPAN-OCI" "1" "" "Sampan" "Sampan manual"',
        *(".SH NAME", f"sampan\\-oci \\- {escape(helps.SUMMARY)}", ".SH SYNOPSIS"),
        *(".B sampan\\-oci", "[global options] command [command options]"),
        *(".SH DESCRIPTION", escape(helps.DESCRIPTION.replace("\n   ", " "))),
        ".SH GLOBAL OPTIONS",
        *_options(sampan_oci.GLOBAL),
        ".SH COMMANDS",
    ]
    for name in oci.NAMES:
        lines += _verb(oci.module(name).VERB)
    lines += [".SH EXIT STATUS", "run and exec: the status of the process, or 128 and the number"]
    lines += ["of the signal that ended it. 255 where exec fails, 1 where anything else does."]
    return "\n".join([*lines, ".SH SEE ALSO", ".BR sampan (1)"]) + "\n"


def _verb(verb: Verb) -> list[str]:
    lines = [f".SS {escape(verb.name)} {escape(verb.operands)}".rstrip()]
    lines.append(f"{escape(verb.summary[0].upper() + verb.summary[1:])}.")
    if verb.description:
        lines += [".PP", escape(verb.description.replace("\n   ", " "))]
    return [*lines, *_options(verb.flags)]


def _options(flags: tuple[Flag, ...]) -> list[str]:
    lines: list[str] = []
    for item in flags:
        if not item.hidden:
            lines += [".TP", f".B {escape(helps.spelled(item))}", escape(helps.meaning(item))]
    return lines
