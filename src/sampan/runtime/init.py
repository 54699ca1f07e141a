"""The child's way from clone3 to execve: everything here runs inside the container.

Nothing may be imported any more, or the image could bring its own `warnings.py` and have it run as
the host's root; `lock_imports` makes sure. Errors go to the caller over the channel, and the
process leaves by os._exit: no clean-up of the caller's copy of the interpreter may run here.
"""

from __future__ import annotations

import fcntl
import gc
import os
import sys

from sampan.kit import errors as kinds
from sampan.linux import process, pty, signals
from sampan.linux.process import PR
from sampan.runtime import channel as channels
from sampan.runtime import (
    command,
    credentials,
    devices,
    enter,
    errors,
    masks,
    reaper,
    rootfs,
    stdio,
)
from sampan.runtime.channel import expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sampan.runtime.channel import Channel, Wires
    from sampan.runtime.mount_plan import MountPlan
    from sampan.runtime.mounts import Sources
    from sampan.runtime.plan import Plan
    from sampan.runtime.process_plan import ProcessPlan


class _NoImports:
    """The only finder that is left once a container's files may be in sight."""

    @staticmethod
    def find_spec(name: str, *_: object) -> NoReturn:
        raise ImportError(f"{name}: nothing is imported inside a container")


_unlocked: tuple[object, ...] = ()  # never freed: that alone would copy 60 pages after the fork


def lock_imports() -> None:
    global _unlocked
    _unlocked = (_unlocked, sys.meta_path, sys.path, sys.path_hooks, sys.path_importer_cache)
    sys.meta_path = [_NoImports]
    sys.path, sys.path_hooks, sys.path_importer_cache = [], [], {}


def run(plan: Plan, wires: Wires) -> NoReturn:
    """PID 1 of a new container."""

    def prepare() -> None:
        stdio.shield_null(wires.stdio or (0, 1, 2))
        enter.enter(plan, wires)
        _build(plan, wires)

    def hook() -> None:
        state = {**plan.state, "status": "created", "pid": os.getpid()}
        from sampan.runtime import hooks  # loaded when the plan was made

        hooks.run_all(plan.hooks.start_container, "startContainer", state, plan.process.env)

    run_process(plan.process, wires, prepare, hook if plan.hooks.start_container else None)


def run_process(plan: ProcessPlan, wires: Wires, prepare, before_exec=None) -> NoReturn:  # type: ignore[no-untyped-def]
    """The part that `create` and `exec` share: prepare, become the user, wait, execute."""
    try:
        gc.disable()
        lock_imports()
        signals.block_all()
        prepare()
        path = _become(plan, wires)
        wires.channel.send("ready")
        wires.channel = _wait_for_start(wires)
        if plan.no_new_privs and not plan.listener:  # hooks run under it, too
            _load_filter(plan, wires)
        if before_exec:
            before_exec()
        _execute(plan, path, wires.channel)
    except BaseException as error:
        _report(wires.channel, error)
    os._exit(1)


def _report(channel: Channel, error: BaseException) -> None:
    name, text = type(error).__name__, str(error)
    if isinstance(error, OSError) and not isinstance(error, kinds.SampanError):
        text = errors.reason(error)
        text = f"{error.filename}: {text}" if error.filename else str(error.strerror or error)
    elif not isinstance(error, kinds.SampanError):
        line = error.__traceback__
        while line and line.tb_next:
            line = line.tb_next
        if line:
            code = line.tb_frame.f_code
            text = f"{name}: {text} ({code.co_filename}:{line.tb_lineno})"
    try:
        channel.send("error", name, text)
    except OSError:  # the caller is gone, and with it whoever could have been told
        pass


def _tune(plan: ProcessPlan, wires: Wires) -> None:
    if plan.personality is not None:
        process.personality(plan.personality)
    if plan.tuning:
        from sampan.runtime import tuning

        tuning.apply(plan.tuning, wires.label)


def _build(plan: Plan, wires: Wires) -> None:
    null = devices.open_null()
    cgroups = enter.LateCgroups(plan, wires)
    root, later = rootfs.prepare(plan, _sources(plan, wires), cgroups)
    devices.populate(plan, root)
    cgroups.join()
    if plan.hooks.prestart or plan.hooks.create_runtime:
        wires.channel.send("hooks")
        expect(wires.channel, "hooks")
    if plan.hooks.create_container:
        state = {**plan.state, "status": "creating", "pid": os.getpid()}
        os.fchdir(root)  # as with runc; such hooks name what they make by relative paths
        from sampan.runtime import hooks

        hooks.run_all(plan.hooks.create_container, "createContainer", state, {})
    masks.cover(plan, root, null)
    os.close(null)
    if not plan.own_mounts:
        rootfs.chroot(root)
    elif plan.no_pivot:
        rootfs.move(root)
    else:
        rootfs.pivot(root)
    if plan.process.terminal:
        _terminal(plan.process, wires, own_mounts=True)
    _make_directory(plan.process.cwd)
    rootfs.finish(plan, later)


def _make_directory(path: str) -> None:
    """The working directory, while the root can still be written to."""
    try:
        os.makedirs(path, 0o755, exist_ok=True)
    except OSError:  # going there will tell
        pass


def _sources(plan: Plan, wires: Wires) -> Sources:
    """How to open what an ordinary bind mount cannot."""
    if plan.user_namespace:
        from sampan.runtime import sources  # loaded before the fork, as below

        return sources.asked(plan, wires.channel)

    def own(item: MountPlan | None) -> int:
        from sampan.runtime import sources

        return sources.own(wires.held)(item)

    return own


def _terminal(plan: ProcessPlan, wires: Wires, *, own_mounts: bool) -> None:
    """A terminal of the container becomes 0, 1, 2; its master goes to the caller."""
    master, slave, name = devices.open_console()
    if plan.size:
        pty.set_size(slave, *plan.size)
    channels.send_descriptor(wires.console, name, master)
    os.close(master)
    if own_mounts:
        devices.mount_console(slave)
    pty.make_controlling(slave)
    os.fchown(slave, plan.uid, -1)
    wires.stdio = (slave, slave, slave)


def join_terminal(plan: ProcessPlan, wires: Wires) -> None:
    _terminal(plan, wires, own_mounts=False)


def _become(plan: ProcessPlan, wires: Wires) -> str:
    """Stdio, filter, working directory, ids and capabilities; the command's path."""
    if wires.stdio:
        _take(wires)
    stdio.own_null()
    stdio.give(plan.uid, plan.gid)
    _tune(plan, wires)
    _close_others(plan, wires)
    if not plan.env.get("HOME"):
        plan.env["HOME"] = command.home(plan.uid)
    entered = _change_directory(plan.cwd, as_root=True)  # a filter may refuse getcwd(2)
    if plan.seccomp and not plan.no_new_privs:
        _load_filter(plan, wires)  # without no_new_privs that needs CAP_SYS_ADMIN
    credentials.become(plan)
    if not entered:
        _change_directory(plan.cwd, as_root=False)
    if plan.no_new_privs:
        process.prctl(PR.SET_NO_NEW_PRIVS, 1)
    path = command.find(plan.args[0], plan.env)
    if plan.listener and plan.no_new_privs:  # while whoever creates is there to fetch it
        _load_filter(plan, wires)
    return path


def _load_filter(plan: ProcessPlan, wires: Wires) -> None:
    if plan.seccomp:
        from sampan.linux import seccomp  # loaded when the plan was made

        fd = seccomp.load(*plan.seccomp)
        if plan.listener:
            wires.channel.send("seccomp", str(fd))
            expect(wires.channel, "seccomp")
            os.close(fd)


def _take(wires: Wires) -> None:
    """Stdin, stdout and stderr are what the caller gave, or the terminal."""
    # twice: the three may be given in an order where one would overwrite another
    copies = [os.dup(fd) for fd in wires.stdio or ()]
    for number, fd in enumerate(copies):
        os.dup2(fd, number)
        os.close(fd)
    wires.stdio = None


def _close_others(plan: ProcessPlan, wires: Wires) -> None:
    """Close what is the host's: a directory left open leads out (CVE-2024-21626)."""
    first = 3 + plan.preserve_fds
    for fd in range(3, first):
        os.set_inheritable(fd, True)
    keep = [wires.channel.fd] + ([wires.gate] if wires.gate >= 0 else [])
    # first to where the next loop does not overwrite them
    high = max(first, *keep) + len(keep)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, high) for fd in keep]
    for number, fd in enumerate(moved):
        os.dup2(fd, first + number, inheritable=False)
    process.close_from(first + len(moved))
    wires.channel.fd = first
    wires.gate = first + 1 if wires.gate >= 0 else -1


def _change_directory(path: str, *, as_root: bool) -> bool:
    try:
        os.chdir(path)
    except OSError as error:
        if as_root and isinstance(error, PermissionError):
            return False  # perhaps the user may what root without capabilities may not
        raise errors.InvalidConfig(f"process.cwd: chdir {path}: {errors.reason(error)}") from None
    _check_directory()
    return True


def _check_directory() -> None:
    """A working directory outside the root shows as `(unreachable)…` or not at all."""
    try:
        here = os.getcwd()
    except OSError:
        here = ""
    if not here.startswith("/"):
        raise errors.UnsafePath(
            "process.cwd is outside of the root: possible container breakout detected"
        )


def _wait_for_start(wires: Wires) -> Channel:
    channel = wires.channel
    if wires.gate >= 0:
        channel.close()  # whoever creates may go now
        signals.exit_on_request()
        channel = channels.accept(wires.gate)
        signals.block_all()
        os.close(wires.gate)
        wires.gate = -1
    expect(channel, "start")
    return channel


def _execute(plan: ProcessPlan, path: str, channel: Channel) -> None:
    if plan.pdeathsig:  # only now: a change of ids clears it
        process.prctl(PR.SET_PDEATHSIG, plan.pdeathsig)
    if plan.init:
        reaper.run(path, plan.args, plan.env, channel)
    signals.reset()
    command.execute(path, plan.args, plan.env)
