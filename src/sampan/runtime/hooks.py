"""Hooks: programs of the host, or of the container, at six points of its life.

Forked and executed here; the state goes to the hook's stdin, its stderr is kept for the error.
"""

from __future__ import annotations

import os
import select

from sampan.kit import json
from sampan.linux import process, signals
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.spec import oci_runtime


def run_all(
    hooks: tuple[oci_runtime.Hook, ...],
    kind: str,
    state: dict[str, Any],
    environment: dict[str, str] | None = None,
) -> None:
    """Run them in order; raises HookFailed at the first that fails.

    A hook without `env` gets `environment`, by default the caller's own, as with runc.
    """
    document = json.dumps(state).encode()
    environment = dict(os.environ) if environment is None else environment
    for number, hook in enumerate(hooks):
        _run(hook, f"error running {kind} hook #{number}: {hook.path}", document, environment)


def check(hooks: oci_runtime.Hooks) -> None:
    """Raise InvalidConfig for hooks that could never run, before there is a container."""
    for kind in type(hooks).__annotations__:
        for number, hook in enumerate(getattr(hooks, kind)):
            where = f"hooks.{kind}[{number}]"
            if not hook.path.startswith("/"):
                raise errors.InvalidConfig(f"{where}: the path {hook.path!r} must be absolute")
            if hook.timeout is not None and hook.timeout <= 0:
                raise errors.InvalidConfig(f"{where}: the timeout must be more than 0 seconds")


def _run(hook: oci_runtime.Hook, name: str, state: bytes, environment: dict[str, str]) -> None:
    stdin, stderr = os.memfd_create("state"), os.memfd_create("stderr")
    try:
        os.write(stdin, state)
        os.lseek(stdin, 0, os.SEEK_SET)
        pid = os.fork()
        if pid == 0:
            _execute(hook, stdin, stderr, environment)
        status = _wait(pid, hook.timeout)
        text = os.pread(stderr, 4096, 0).decode(errors="replace").strip()
    finally:
        os.close(stdin)
        os.close(stderr)
    if status is None:
        raise errors.HookFailed(f"{name}: took longer than {hook.timeout} s")
    if status:
        code = os.waitstatus_to_exitcode(status)
        how = f"exit status {code}" if code > 0 else f"signal: {signals.description(-code)}"
        raise errors.HookFailed(f"{name}: {how}, stderr: {text}")


def _execute(hook: oci_runtime.Hook, stdin: int, stderr: int, environment: dict[str, str]) -> None:
    try:
        signals.reset()
        os.dup2(stdin, 0)
        os.dup2(stderr, 2)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        process.close_from(3)
        pairs = dict(item.partition("=")[::2] for item in hook.env) if hook.env else environment
        os.execve(hook.path, list(hook.args) or [hook.path], pairs)
    except OSError as error:
        os.write(2, f"{hook.path}: {errors.reason(error)}".encode())
    finally:
        os._exit(127)


def _wait(pid: int, timeout: int | None) -> int | None:
    """The wait status, or None where the time ran out (it is killed then)."""
    if timeout is None:
        return os.waitpid(pid, 0)[1]
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = poll.poll(max(0, timeout) * 1000)
    os.close(pidfd)
    if ended:
        return os.waitpid(pid, 0)[1]
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None
