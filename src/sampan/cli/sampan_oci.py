"""`sampan-oci`: the runtime room as a program with runc's verbs, flags, messages and exit codes.

It lives for milliseconds: this file reads the global options and hands over to the verb's module
in `cli/oci`, which imports only what it uses.
"""

from __future__ import annotations

import os
import sys

from sampan.cli import oci
from sampan.cli.oci import log, table
from sampan.cli.oci.table import flag
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = "0.1.0"

GLOBAL = (
    flag("--debug", "", "log each step, and where an error comes from"),
    flag("--log", "string", "file to log to (standard error)"),
    flag("--log-format", "string", "text or json", default="text"),
    flag("--root", "string", "directory of the containers' state (/run/sampan-oci)"),
    flag("--systemd-cgroup", "", "let systemd make the cgroups: cgroupsPath is slice:prefix:name"),
    flag("--cgroup-manager", "string", "cgroupfs, systemd or disabled"),
    flag("--config", "string", "another file than the bundle's config.json"),
    flag("--rootless", "string", "true, false or auto: whose default root", default="auto"),
    flag("--version -v", "", "print the version"),
)


def main() -> int:
    verb, logger = "", log.Log("", form="text", debug=False)
    try:
        values, words = table.parse(sys.argv[1:], GLOBAL, interspersed=False)
        if values["version"]:
            return _version()
        if not words or (values["help"] and not words):
            return _help([])
        verb, *rest = words
        if verb in ("help", "h") or values["help"]:
            return _help(words if values["help"] else rest)
        if verb not in oci.NAMES:
            return _unknown(verb, rest)
        context = _context(values)
        logger = context.log
        return _perform(context, verb, rest)
    except Exception as error:
        _trace(logger, error)
        logger.error(_stage(verb, error) + _told(error))
        return 255 if verb == "exec" else 1


def _perform(context: table.Context, name: str, words: list[str]) -> int:
    module = oci.module(name)
    record: table.Verb = module.VERB
    values, operands = table.parse(words, record.flags, interspersed=record.interspersed)
    if values["help"]:
        return _help([name])
    table.check_operands(record, program(), operands)
    code: int = module.run(context, values, operands)
    return code


def _context(values: dict[str, Any]) -> table.Context:
    logger = log.Log(values["log"], form=values["log-format"], debug=values["debug"])
    from sampan.runtime import trace

    trace.warner = logger.warning
    if values["debug"]:
        trace.listener = logger.debug
    rootless = _rootless(values["rootless"])
    root = os.path.abspath(values["root"]) if values["root"] else _default_root(rootless)
    if root.strip("/") == "":
        raise table.UsageError("option --root argument should not be set to /")
    manager = values["cgroup-manager"] or ("systemd" if values["systemd-cgroup"] else "cgroupfs")
    if manager not in ("cgroupfs", "systemd", "disabled"):
        raise table.UsageError(f"--cgroup-manager: {manager!r} is not cgroupfs, systemd, disabled")
    return table.Context(
        root=root,
        root_given=bool(values["root"]),
        config=values["config"],
        cgroup_manager=manager,
        rootless=rootless,
        log=logger,
    )


def _rootless(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    if text != "auto":
        raise table.UsageError(f"--rootless: {text!r} is not true, false or auto")
    return os.geteuid() != 0


def _default_root(rootless: bool) -> str:
    """The user's own run directory; sticky, so that no tool that tidies up removes it."""
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if not rootless or not directory:
        return "/run/sampan-oci"
    root = f"{directory}/sampan-oci"
    os.makedirs(root, 0o700, exist_ok=True)
    os.chmod(root, 0o1700)
    return root


def program() -> str:
    """The name we were called by: a link called `runc` shows itself as that."""
    name = os.path.basename(sys.argv[0])
    return name if name and not name.startswith("-") else "sampan-oci"


def _stage(verb: str, error: Exception) -> str:
    """How far a start has come, in the words that callers of runc look for."""
    if verb not in ("create", "run") or not getattr(error, "in_init", False):
        return ""
    return (
        f"{program()} {verb} failed: unable to start container process: "
        "error during container init: "
    )


def _told(error: Exception) -> str:
    if isinstance(error, errors.SampanError):
        return str(error)
    if isinstance(error, OSError) and error.errno:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno).lower()}"
    return f"internal error, please report it: {type(error).__name__}: {error}"


def _trace(logger: log.Log, error: Exception) -> None:
    line = error.__traceback__
    while line:
        code = line.tb_frame.f_code
        logger.debug(f"{type(error).__name__} by way of {code.co_filename}:{line.tb_lineno}")
        line = line.tb_next


def _version() -> int:
    from sampan.linux import libseccomp
    from sampan.spec import oci_runtime

    print(f"{program()} version {VERSION}\ncommit: v{VERSION}\nspec: {oci_runtime.VERSION}")
    if version := libseccomp.version():
        print(f"libseccomp: {version}")
    return 0


def _help(words: list[str]) -> int:
    from sampan.cli.oci import help as helps

    if not words:
        print(helps.program(program(), VERSION, GLOBAL), end="")
        return 0
    if words[0] not in oci.NAMES:
        return _unknown(words[0], ["--help"])
    print(helps.verb(program(), oci.module(words[0]).VERB), end="")
    return 0


def _unknown(name: str, words: list[str]) -> int:
    if {"-h", "--help", "-help"} & set(words):
        print(f"No help topic for {name!r}", file=sys.stderr)
    else:
        print(f"{program()}: {name!r} is no command; see {program()} --help", file=sys.stderr)
    return 3 if {"-h", "--help", "-help"} & set(words) else 1
