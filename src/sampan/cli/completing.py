"""What could stand in place of the word that is being typed, from the option tables.

Names of containers, images, volumes and networks come from the engine, if one runs: completion
never starts one, and never complains.
"""

from __future__ import annotations

from sampan.cli import commands, contexts, values
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.cli.options import Command, Option
    from sampan.cli.session import Session
    from sampan.client import api

FILES, DIRECTORIES = ":files", ":dirs"  # the shell completes these better than we could


def complete(words: Sequence[str], session: Session) -> list[str]:
    """`words`: what stands after `sampan`, the last one being typed (perhaps empty)."""
    from sampan.cli.main import SAMPAN

    *before, last = words or [""]
    rest = _after_options(SAMPAN, list(before))
    if rest is None:
        return []
    if not rest:
        if last.startswith("-"):
            return _starting(last, _flags(SAMPAN))
        return _starting(last, _names(""))
    name = rest[0]
    if name in commands.GROUPS:
        if len(rest) == 1:
            return _starting(last, _names(f"{name} "))
        name, rest = f"{name} {rest[1]}", rest[1:]
    if name not in commands.NAMES:
        return []
    return _in_command(commands.get(name).COMMAND, rest[1:], last, session)


def _names(prefix: str) -> list[str]:
    every = [*commands.NAMES, *commands.GROUPS]
    tails = [n[len(prefix) :] for n in every if n.startswith(prefix)]
    return sorted({n for n in tails if " " not in n and not n.startswith("_")})


def _in_command(command: Command, before: list[str], last: str, session: Session) -> list[str]:
    previous = _wanting(command, before[-1]) if before else None
    if previous is not None:
        return _source(previous.completes, last, session)
    if last.startswith("--") and "=" in last:
        name, _, value = last.partition("=")
        found = next((o for o in command.options if f"--{o.name}" == name), None)
        return [f"{name}={v}" for v in _source(found.completes, value, session)] if found else []
    operands = _operands(command, before)
    ended = not command.interspersed and operands
    if last.startswith("-") and not ended:
        return _starting(last, _flags(command))
    if ended or len(operands) >= command.at_most:
        return (
            _source("container", last, session) if _second_is_container(command, operands) else []
        )
    return _source(command.completes, last, session)


def _second_is_container(command: Command, operands: list[str]) -> bool:
    return command.operands == "NETWORK CONTAINER" and len(operands) == 1


def _wanting(command: Command, word: str) -> Option | None:
    """The option that `word` is, if its value is the next word."""
    for option in command.options:
        if values.KINDS[option.kind].flag_value is not None:
            continue
        if word == f"--{option.name}" or word in [f"--{alias}" for alias in option.aliases]:
            return option
        short = option.short and word.startswith("-") and not word.startswith("--")
        if short and word.endswith(option.short) and _all_flags(command, word[1:-1]):
            return option
    return None


def _all_flags(command: Command, letters: str) -> bool:
    bare = {o.short for o in command.options if values.KINDS[o.kind].flag_value is not None}
    return set(letters) <= bare


def _operands(command: Command, words: list[str]) -> list[str]:
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-") and len(word) > 1:
            skip = _wanting(command, word) is not None
        else:
            found.append(word)
    return found


def _after_options(root: Command, words: list[str]) -> list[str] | None:
    """The words from the command on; None while a global option waits for its value."""
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if _wanting(root, word) is not None:
            if not words:
                return None
            words.pop(0)
    return words


def _flags(command: Command) -> list[str]:
    return [f"--{o.name}" for o in command.options if not o.hidden] + ["--help"]


def _starting(beginning: str, candidates: Sequence[str]) -> list[str]:
    return sorted({c for c in candidates if c.startswith(beginning)})


def _source(name: str, beginning: str, session: Session) -> list[str]:
    if name == "file":
        return [FILES]
    if name == "dir":
        return [DIRECTORIES]
    source = SOURCES.get(name)
    if source is None:
        return _starting(beginning, [word for word in name.split("|") if word])
    try:
        if name == "context":
            return _starting(beginning, ["default", *contexts.Store(session.config_dir).names()])
        with session.new_client() as client:
            return _starting(beginning, source(client))
    except (errors.SampanError, OSError):
        return []


def _containers(status: tuple[str, ...] = ()) -> Callable[[api.Client], list[str]]:
    def find(client: api.Client) -> list[str]:
        query = {"all": True, "filters": {"status": list(status)} if status else None}
        found = client.call("GET", "/containers/json", query)
        return [name.removeprefix("/") for c in found for name in c["Names"]]

    return find


def _images(client: api.Client) -> list[str]:
    tags = [tag for i in client.call("GET", "/images/json") for tag in i.get("RepoTags") or ()]
    return [tag for tag in tags if not tag.startswith("<none>")]


def _volumes(client: api.Client) -> list[str]:
    return [v["Name"] for v in client.call("GET", "/volumes")["Volumes"] or ()]


def _networks(client: api.Client) -> list[str]:
    return [n["Name"] for n in client.call("GET", "/networks")]


def _objects(client: api.Client) -> list[str]:
    return _containers()(client) + _images(client) + _volumes(client) + _networks(client)


def _signals(_: api.Client) -> list[str]:
    import signal

    return [s.name for s in signal.Signals]


def _capabilities(_: api.Client) -> list[str]:
    names = (
        "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN "
        "DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE "
        "MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON "
        "SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE "
        "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
    )
    return names.split()


SOURCES: dict[str, Callable[[api.Client], list[str]]] = {
    "container": _containers(),
    "running": _containers(("running", "paused")),
    "stopped": _containers(("created", "exited", "dead")),
    "image": _images,
    "volume": _volumes,
    "network": _networks,
    "object": _objects,
    "signal": _signals,
    "capability": _capabilities,
}
