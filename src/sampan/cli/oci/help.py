"""`--help` from the option tables, in the shape that runc's users know."""

from __future__ import annotations

from sampan.cli import oci
from sampan.cli.oci import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.oci.table import Flag, Verb

SUMMARY = "Open Container Initiative runtime"
DESCRIPTION = (
    "Runs containers as the OCI runtime specification describes them: a bundle is a directory\n"
    "   with config.json and a root file system. It stands in for runc: the same verbs, options,\n"
    "   messages and exit codes."
)


def program(name: str, version: str, flags: tuple[Flag, ...]) -> str:
    verbs = [oci.module(verb).VERB for verb in oci.NAMES]
    commands = "".join(f"   {verb.name:11} {verb.summary}\n" for verb in verbs)
    return (
        f"NAME:\n   {name} - {SUMMARY}\n\n   {DESCRIPTION}\n\n"
        f"USAGE:\n   {name} [global options] command [command options]\n\n"
        f"VERSION:\n   {version}\n\nCOMMANDS:\n{commands}\n"
        f"GLOBAL OPTIONS:\n{_options(flags)}"
    )


def verb(name: str, record: Verb) -> str:
    operands = f" {record.operands}" if record.operands else ""
    text = f"NAME:\n   {name} {record.name} - {record.summary}\n\n"
    text += f"USAGE:\n   {name} {record.name} [options]{operands}\n\n"
    if record.description:
        text += f"DESCRIPTION:\n   {record.description}\n\n"
    return f"{text}OPTIONS:\n{_options(record.flags)}"


def spelled(item: Flag) -> str:
    """`--bundle string, -b string`"""
    value = f" {'string' if item.kind == 'list' else item.kind}" if item.kind else ""
    return f"--{item.name}{value}" + (f", -{item.short}{value}" if item.short else "")


def meaning(item: Flag) -> str:
    default = f" (default: {item.default})" if item.default not in (None, "", False) else ""
    return item.help + default


def _options(flags: tuple[Flag, ...]) -> str:
    shown = [(spelled(item), meaning(item)) for item in (*flags, table.HELP) if not item.hidden]
    width = max(len(left) for left, _ in shown)
    return "".join(f"   {left:{width}}  {right}\n" for left, right in shown)
