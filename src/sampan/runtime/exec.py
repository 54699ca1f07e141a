"""Run one more process in a running container."""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux import namespaces
from sampan.linux.namespaces import CLONE
from sampan.runtime import channel as channels
from sampan.runtime import (
    clone,
    create,
    enter,
    errors,
    exec_cgroup,
    init,
    process_plan,
    stdio,
    trace,
)
from sampan.runtime.created import Created

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.process_plan import ProcessPlan
    from sampan.spec import oci_runtime


class Target(Record):
    """The container to join."""

    pid: int  # its PID 1, as the caller sees it
    manager: Any = None  # its cgroup (linux.cgroup.Manager)
    cgroups: tuple[str, ...] = ()  # cgroups below it to join instead, as `exec --cgroup` has them
    seccomp: dict[str, Any] = {}
    state: dict[str, Any] = {}  # the specification's, for an agent of seccomp
    linux: Any = None  # of its config.json: personality and memory policy are for all of it


def exec_process(
    target: Target,
    process: oci_runtime.Process,
    *,
    stdio: tuple[int, int, int] | None = None,
    console: Any = None,
    preserve_fds: int = 0,
    pdeathsig: int = 0,
) -> Created:
    """Join the container's namespaces and cgroup; then as with `create`: wait_ready, start.

    The new process is the caller's child. Raises WrongState where the container has ended.
    """
    if process.terminal and console is None:
        raise errors.InvalidConfig("cannot allocate tty if there is no console socket")
    try:
        pidfd = os.pidfd_open(target.pid)
        flags, pids = _foreign(target.pid)
    except (ProcessLookupError, FileNotFoundError):
        raise errors.WrongState("cannot exec in a stopped container") from None
    plan = process_plan.make(
        process,
        target.seccomp,
        user_namespace=bool(flags & CLONE.NEWUSER),
        preserve_fds=preserve_fds,
        pdeathsig=pdeathsig,
        linux=target.linux,
        annotations=target.state.get("annotations"),
    )
    users = -1
    if os.geteuid() and flags & CLONE.NEWUSER:  # a user has no say in the others before
        users = os.open(f"/proc/{target.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        flags &= ~CLONE.NEWUSER
    ours, theirs = channels.pair()
    terminal = console.fileno() if console is not None else -1
    wires = channels.Wires(theirs, stdio=stdio, console=terminal)
    try:
        pid, child = clone.clone(0, lambda: _join(plan, wires, pidfd, flags), user=users, pids=pids)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for fd in (pidfd, pids, users):
            if fd >= 0:
                os.close(fd)
    created = Created(pid, child, ours, target.manager, owns_cgroup=False)
    created.agent, created.state = plan.listener, target.state
    return _settled(plan, created, target)


def _settled(plan: ProcessPlan, created: Created, target: Target) -> Created:
    try:
        if getattr(plan.tuning, "initial_cpus", None):
            _pin(plan, created.pid, "initial_cpus")
        else:
            create.free_cpus(created.pid)
        if target.manager:
            exec_cgroup.enter(target.manager, created.pid, target.pid, target.cgroups)
        create.settle(plan, created.pid, None)
        if target.linux and target.linux.intel_rdt:
            from sampan.linux import resctrl

            resctrl.Group(target.linux.intel_rdt, target.state["id"]).add(created.pid)
        _pin(plan, created.pid, "final_cpus")
        created.send_go()
    except BaseException:
        created.abort()
        raise
    return created


def _pin(plan: ProcessPlan, pid: int, when: str) -> None:
    cpus = getattr(plan.tuning, when, None)
    if cpus:
        try:
            os.sched_setaffinity(pid, cpus)
            trace.say(f"nsexec: affinity: {sum(1 << cpu for cpu in cpus):#x}")
        except OSError as error:
            place = f"process.execCPUAffinity.{when.removesuffix('_cpus')}"
            raise errors.InvalidConfig(
                f"{place}: sched_setaffinity: {errors.reason(error)}"
            ) from error


def _foreign(pid: int) -> tuple[int, int]:
    """(flags of the namespaces that are not ours, descriptor of the pid namespace or -1)."""
    flags, pids = 0, -1
    for kind, name in namespaces.FILES.items():
        path = f"/proc/{pid}/ns/{name}"
        try:
            if os.stat(path).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino:
                continue
        except FileNotFoundError:
            if kind == "time":  # a kernel without them
                continue
            raise
        if kind == "pid":
            pids = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            flags |= namespaces.FLAGS[kind]
    return flags, pids


def _join(plan: ProcessPlan, wires: channels.Wires, pidfd: int, flags: int) -> None:
    def prepare() -> None:
        stdio.shield_null(wires.stdio or (0, 1, 2))
        channels.expect(wires.channel, "go")  # in its cgroup before it is in the cgroup's namespace
        enter.open_label(plan, wires)
        if flags:
            namespaces.setns(pidfd, flags)
        os.setsid()
        if plan.user_namespace:
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        if plan.terminal:
            init.join_terminal(plan, wires)

    init.run_process(plan, wires, prepare)
