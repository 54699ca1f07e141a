"""`sampan`: parse the words, run one command, turn what went wrong into a line and a code."""

from __future__ import annotations

import os
import sys

from sampan.cli import commands, options
from sampan.cli.options import Arguments, Command, HelpWanted, UsageError, option
from sampan.cli.session import Session
from sampan.client import errors as client_errors
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

SAMPAN = Command(
    name="",
    summary="Run containers",
    operands="COMMAND [ARG...]",
    interspersed=False,
    options=(
        option("--config", "string", "Directory of config.json", completes="dir"),
        option("-c --context", "string", "Context to use: an engine by name", completes="context"),
        option("-D --debug", "bool", "Show a traceback where the program itself fails"),
        option("-H --host", "string", "Engine to speak to: unix:///path, tcp://host:port or"
               " ssh://user@host"),
        option("--root", "string", "Directory of the state that outlives a reboot",
               completes="dir"),
        option("--run", "string", "Directory of sockets and other passing state",
               completes="dir"),
        option("--tls", "bool", "Speak TLS; implied by --tlsverify"),
        option("--tlscacert", "string", "Who signs the engine's certificate", completes="file"),
        option("--tlscert", "string", "Our certificate", completes="file"),
        option("--tlskey", "string", "Its key", completes="file"),
        option("--tlsverify", "bool", "Speak TLS and check the engine's certificate"),
        option("-v --version", "bool", "Print the version"),
    ),
)  # fmt: skip


def main() -> int:
    debug = False
    try:
        try:
            args = options.parse(SAMPAN, sys.argv[1:])
            debug = args["debug"]
            code = _dispatch(args)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return BROKEN_PIPE
    except HelpWanted:
        from sampan.cli import help as help_

        print(help_.program(SAMPAN))
        return 0
    except UsageError as error:
        return _usage_error(error)
    except (errors.SampanError, OSError) as error:
        if debug:
            raise
        print(describe(error), file=sys.stderr)
        return 1
    return code


def _dispatch(args: Arguments) -> int:
    if args["version"]:
        from sampan import __version__

        print(f"sampan version {__version__}")
        return 0
    if not args.operands:
        raise HelpWanted
    name, rest = _find(args.operands)
    module = commands.get(name)
    command: Command = module.COMMAND
    try:
        parsed = options.parse(command, rest)
    except HelpWanted:
        from sampan.cli import help as help_

        print(help_.command(command))
        return 0
    session = Session(
        host=args["host"], context=args["context"], root=args["root"], run=args["run"],
        config=args["config"], tls=_tls(args),
    )  # fmt: skip
    run: Callable[[Session, Arguments], int | None] = module.run
    try:
        return run(session, parsed) or 0
    finally:
        session.close()


def _tls(args: Arguments) -> dict[str, str]:
    """What was said of TLS: the options' names without `tls`, and their values."""
    found = {name: args[f"tls{name}"] for name in ("cacert", "cert", "key") if args[f"tls{name}"]}
    if args.given("tls"):
        found["on"] = "1" if args["tls"] else ""
    if args.given("tlsverify"):
        found["verify"] = "1" if args["tlsverify"] else ""
    return found


def _find(words: list[str]) -> tuple[str, list[str]]:
    """The command's full name, and the words after it."""
    first, rest = words[0], words[1:]
    if rest and f"{first} {rest[0]}" in commands.NAMES:
        return f"{first} {rest[0]}", rest[1:]
    if first in commands.NAMES:
        return first, rest
    if first == "help":
        return _find_help(rest)
    if first not in commands.GROUPS:
        raise _unknown(first, [*commands.NAMES, *commands.GROUPS])
    if not rest or rest[0] in ("--help", "-h"):
        from sampan.cli import help as help_

        print(help_.group(first))
        raise SystemExit(0)
    known = [name for name in commands.NAMES if name.startswith(f"{first} ")]
    raise _unknown(f"{first} {rest[0]}", known)


def _find_help(words: list[str]) -> tuple[str, list[str]]:
    if not words:
        raise HelpWanted
    name, _ = _find([*words, "--help"] if len(words) == 1 else words)
    return name, ["--help"]


def _unknown(name: str, known: list[str]) -> UsageError:
    from sampan.kit import nearest

    guess = nearest.one(name, [n for n in known if not n.startswith("_")])
    meant = f"\n\nDid you mean this?\n\tsampan {guess}" if guess else ""
    group = name.partition(" ")[0] if " " in name else ""
    where = f"sampan {group}".rstrip()
    usage = f"\n\nUsage:  {where}" if group else ""
    hint = f"\n\nRun '{where} --help' for more information"
    message = f"sampan: unknown command: sampan {name}{meant}{usage}{hint}"
    return UsageError(message, SAMPAN, code=1, usage=False)


def _usage_error(error: UsageError) -> int:
    """As Docker words the four kinds: 125 is `run`'s and `create`'s, 1 without usage is plain."""
    command = error.command or SAMPAN
    lines = [str(error) if error.usage == (error.code == 125) else f"sampan: {error}"]
    if error.usage:
        lines += ["", f"Usage:  {command.usage()}"]
    if error.usage or error.code == 125:
        name = f"sampan {command.name}".rstrip()
        lines += ["", f"Run '{name} --help' for more information"]
    print("\n".join(lines), file=sys.stderr)
    return error.code


def describe(error: Exception) -> str:
    """An error in one line, in Docker's words where the engine spoke."""
    if isinstance(error, client_errors.ApiError) and not error.in_stream:
        return f"Error response from daemon: {error}"
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        return f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
    return str(error)


def _give_up_stdout() -> None:
    """The reader of our output went away; the interpreter must not complain at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
