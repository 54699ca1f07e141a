"""One run of another OCI runtime's program: its streams, its log, and what its failure means."""

from __future__ import annotations

import fcntl
import json
import os

from sampan.kit import errors
from sampan.runtime import errors as runtime_errors

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class ProgramFailed(errors.Conflict):
    """The runtime ended with an error; the message is its own."""


def run(command: list[str], log: str, streams: tuple[int, int, int] | None = None) -> None:
    """posix_spawn(3), with the container's streams as its own where it is to hand them on.

    It writes its log to the file `log`, which is gone afterwards. Raises what it said there last.
    """
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in streams or (null, null, null)]
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            _ENVIRONMENT,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, i) for i, fd in enumerate(moved)],
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.Unavailable(f"the runtime {command[0]} cannot be run: {reason}") from error
    finally:
        for fd in (null, *moved):
            os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        if code:
            raise _failure(command, code, log)
    finally:
        if os.path.exists(log):
            os.unlink(log)


def _failure(command: list[str], code: int, log: str) -> errors.SampanError:
    """What it said last, as the error our own runtime would have raised."""
    said = _last_message(log) or f"{command[0]} ended with {code} and no word"
    text = said.lower()
    if any(words in text for words in ("executable file not found", "no such file or directory")):
        return runtime_errors.CommandNotFound(said)
    if any(words in text for words in ("permission denied", "is a directory", "not a directory")):
        return runtime_errors.CommandNotExecutable(said)
    return ProgramFailed(said)


def _last_message(log: str) -> str:
    try:
        with open(log, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            message = json.loads(line)
        except ValueError:
            return line  # runsc's and others' own form
        if message.get("level", "error") in ("error", "fatal"):
            return str(message.get("msg", ""))
    return ""
