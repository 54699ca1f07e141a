"""`sampan-oci`: the runtime room as a program with runc's verbs, flags, messages and exit codes.

It lives for milliseconds, so flags are read by hand from one table and each verb imports only what
it uses.
"""

from __future__ import annotations

import os
import sys

from sampan.kit import errors, json
from sampan.linux import seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_VERSION = "0.1.0"

# flag → (form, help); the form is "" for a switch, "text", "number", or "list" (repeatable)
_GLOBAL = {
    "--root": ("text", "directory of the containers' state (/run/sampan-oci)"),
    "--log": ("text", "file that errors are also written to"),
    "--log-format": ("text", "text or json"),
    "--debug": ("", "write a traceback with an error"),
    "--systemd-cgroup": ("", "refused: the systemd driver is not built yet"),
    "--rootless": ("text", "accepted for runc's callers"),
    "--version": ("", "print the version"),
    "--help": ("", "print this help"),
}
_BUNDLE = {
    "--bundle": ("text", "the bundle's directory (.)"),
    "--console-socket": ("text", "unix socket that gets the terminal's master"),
    "--pid-file": ("text", "file to write the process id to"),
    "--no-pivot": ("", "do not use pivot_root"),
    "--no-new-keyring": ("", "keep the caller's session keyring"),
    "--preserve-fds": ("number", "how many descriptors from 3 on stay open"),
}
_LIMITS = (
    *("blkio-weight", "cpu-period", "cpu-quota", "cpu-burst", "cpu-share", "cpu-rt-period"),
    *("cpu-rt-runtime", "cpuset-cpus", "cpuset-mems", "cpu-idle", "memory", "memory-reservation"),
    *("memory-swap", "pids-limit", "l3-cache-schema", "mem-bw-schema"),
)
_FORMAT = {"--format": ("text", "table or json")}
_VERBS: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "create": ("ID", _BUNDLE),
    "run": (
        "ID",
        {
            **_BUNDLE,
            "--detach": ("", "return once it runs"),
            "--keep": ("", "do not delete it at its end"),
            "--no-subreaper": ("", "accepted for runc's callers"),
        },
    ),
    "start": ("ID", {}),
    "exec": (
        "ID [COMMAND ...]",
        {
            **{k: _BUNDLE[k] for k in ("--console-socket", "--pid-file", "--preserve-fds")},
            "--process": ("text", "file with the process, as in config.json"),
            "--cwd": ("text", "working directory"),
            "--env": ("list", "NAME=VALUE"),
            "--tty": ("", "with a terminal"),
            "--user": ("text", "UID[:GID]"),
            "--additional-gids": ("list", "further group ids"),
            "--cap": ("list", "capability to add"),
            "--no-new-privs": ("", "set no_new_privs"),
            "--cgroup": ("list", "[CONTROLLER[,CONTROLLER]:]PATH below the container's cgroup"),
            "--ignore-paused": ("", "wait in a paused container until it is resumed"),
            "--detach": ("", "return once it runs"),
        },
    ),
    "state": ("ID", {}),
    "kill": ("ID [SIGNAL]", {"--all": ("", "every process of the container")}),
    "delete": ("ID", {"--force": ("", "kill it first; a missing one is no error")}),
    "list": ("", {**_FORMAT, "--quiet": ("", "ids only")}),
    "ps": ("ID", _FORMAT),
    "pause": ("ID", {}),
    "update": (
        "ID",
        {
            "--resources": ("text", "file with linux.resources, - for standard input"),
            **{f"--{name}": ("text", "new limit") for name in _LIMITS},
        },
    ),
    "events": (
        "ID",
        {
            "--interval": ("text", "between two stats (5s)"),
            "--stats": ("", "the stats once, then end"),
        },
    ),
    "resume": ("ID", {}),
    "spec": ("", {"--bundle": _BUNDLE["--bundle"]}),
    "features": ("", {}),
    "validate": ("BUNDLE", {}),
}
_SHORT = {
    "-b": "--bundle",
    "-d": "--detach",
    "-p": "--process",
    "-t": "--tty",
    "-u": "--user",
    "-e": "--env",
    "-g": "--additional-gids",
    "-c": "--cap",
    "-a": "--all",
    "-f": "--force",
    "-q": "--quiet",
    "-r": "--resources",
    "-h": "--help",
    "-v": "--version",
}


class UsageError(errors.InvalidArgument): ...


def parse(
    arguments: list[str], table: dict[str, tuple[str, str]]
) -> tuple[dict[str, Any], list[str]]:
    """({flag without dashes: value}, what follows the flags); one dash will do, as with runc."""
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word, equals, value = rest.pop(0).partition("=")
        if word == "--":
            break
        flag = word if word in table else _SHORT.get(word, "-" + word)
        if flag == "--force" and "--format" in table:
            flag = "--format"
        if flag not in table:
            raise UsageError(f"flag provided but not defined: {word}")
        form = table[flag][0]
        if form and not equals:
            if not rest:
                raise UsageError(f"flag needs an argument: {word}")
            value = rest.pop(0)
        _store(values, flag, form, value if form or equals else "true")
    return values, rest


def _store(values: dict[str, Any], flag: str, form: str, value: str) -> None:
    name = flag[2:].replace("-", "_")
    if form == "list":
        values.setdefault(name, []).append(value)
    elif form == "number":
        if not (value.isascii() and value.isdigit()):
            raise UsageError(f"{flag} must be a number, not {value!r}")
        values[name] = int(value)
    else:
        values[name] = value if form else value == "true"


def main() -> int:
    values: dict[str, Any] = {}
    verb = ""
    try:
        values, rest = parse(sys.argv[1:], _GLOBAL)
        if values.get("version"):
            print(f"sampan-oci version {_VERSION}\nspec: {_spec_version()}")
            return 0
        if values.get("help") or not rest:
            _usage()
            return 0
        if values.get("systemd_cgroup"):
            raise errors.Unsupported("--systemd-cgroup: the systemd driver is not built yet")
        verb, *rest = rest
        if verb not in _VERBS:
            raise UsageError(f"no such command: {verb}")
        table = {**_VERBS[verb][1], "--help": _GLOBAL["--help"]}
        flags, operands = parse(rest, table)
        if verb in ("update", "events") and operands:  # their flags may follow the id
            more, others = parse(operands[1:], table)
            flags, operands = {**flags, **more}, [operands[0], *others]
        if flags.pop("help", False):
            _usage(verb)
            return 0
        root = values.get("root") or "/run/sampan-oci"
        seccomp.cache_directory = "/run/sampan/seccomp"
        return _perform(verb, os.path.abspath(root), flags, operands)
    except (errors.SampanError, OSError) as error:
        if values.get("debug"):
            import traceback

            traceback.print_exc()
        _complain(str(error), values)
        return 255 if verb == "exec" else 1


def _perform(verb: str, root: str, flags: dict[str, Any], operands: list[str]) -> int:
    from sampan.cli import oci_verbs

    usage = _VERBS[verb][0]
    if usage.startswith("ID") and not operands:
        raise UsageError(f"{verb} needs the container's id")
    many = usage.endswith(("...]", "SIGNAL]"))
    if not many and len(operands) > len(usage.split()) and verb != "ps":
        raise UsageError(f"{verb}: unexpected argument {operands[-1]!r}")
    function: Callable[[str, dict[str, Any], list[str]], int] = getattr(oci_verbs, f"{verb}_")
    return function(root, flags, operands)


def _spec_version() -> str:
    from sampan.spec import oci_runtime

    return oci_runtime.VERSION


def _usage(verb: str = "") -> None:
    if verb:
        print(f"usage: sampan-oci {verb} [FLAG ...] {_VERBS[verb][0]}\n")
        table = _VERBS[verb][1]
    else:
        print("usage: sampan-oci [FLAG ...] VERB ...\n\nverbs: " + " ".join(_VERBS) + "\n")
        table = _GLOBAL
    for flag, (form, text) in table.items():
        print(f"  {flag + (' ' + form.upper() if form else ''):24} {text}")


def _complain(text: str, values: dict[str, Any]) -> None:
    print(f"sampan-oci: {text}", file=sys.stderr)
    if path := values.get("log"):
        from sampan.kit import clock

        if values.get("log_format") == "json":
            line = json.dumps({"level": "error", "msg": text, "time": clock.now()})
        else:
            line = f"time={json.dumps(clock.now())} level=error msg={json.dumps(text)}"
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
