"""Create a container: one clone3 into its namespaces, then its PID 1 builds the rest from within.

    created = create(config, Options(container_id="web", bundle="/run/web"))
    ...                        # the root file system is being made meanwhile
    created.wait_ready()       # createRuntime hooks run here, in the caller
    created.start()            # returns once the command runs

PID 1 is a child of the caller: where a process in between is needed (a user namespace to join), it
clones with CLONE_PARENT. Where none is, `for_parent` makes it a child of the caller's parent. The
caller must have one thread only.
"""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux import namespaces
from sampan.linux.namespaces import CLONE
from sampan.runtime import cgroups, clone, credentials, errors, init, mount_plan
from sampan.runtime import channel as channels
from sampan.runtime import mounts as container_mounts
from sampan.runtime import plan as plans
from sampan.runtime.created import Created

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.process_plan import ProcessPlan
    from sampan.spec import oci_runtime


class Options(Record):
    container_id: str
    bundle: str  # what relative paths in config.json start from
    stdio: tuple[int, int, int] | None = None  # become 0, 1, 2 (without a terminal)
    console: Any = None  # a socket: the terminal's master is sent over it (SCM_RIGHTS)
    rootfs: tuple[oci_runtime.Mount, ...] = ()  # mounted at root.path, first of all
    cgroup: str = ""  # overrides linux.cgroupsPath
    cgroups: bool = True  # False: it stays in the caller's
    init: bool = False  # PID 1 is a small reaper of ours, the process its child
    preserve_fds: int = 0  # so many descriptors from 3 on stay open
    gate: int = -1  # a listening SOCK_SEQPACKET: `start` comes over it, the caller may go
    pdeathsig: int = 0  # sent to PID 1 when its parent ends
    for_parent: bool = False  # PID 1 shall be a child of the caller's parent, where that can be
    no_pivot: bool = False
    new_keyring: bool = True


def create(config: oci_runtime.Config, options: Options) -> Created:
    """Returns as soon as the namespaces exist and PID 1 sits in its cgroup."""
    plan = plans.make(config, options)
    manager = None
    try:
        manager = _cgroup(config, options)
        if plan.new & CLONE.NEWCGROUP and (config.linux.uid_mappings or plan.process.uid):
            cgroups.delegate(manager, config, plan)
        return _spawn(config, plan, options, manager)
    except BaseException:
        if manager:
            manager.delete()
        raise
    finally:
        for _kind, fd in plan.joined:
            os.close(fd)


def _cgroup(config: oci_runtime.Config, options: Options) -> Manager:
    if not options.cgroups:
        return _limited(cgroups.none("--cgroup-manager disabled"), config)
    path = cgroups.path_of(config, options.container_id, options.cgroup)
    manager = cgroups.manager(config, path)
    cgroups.check_unused(manager)
    try:
        manager.create()
    except PermissionError:
        if not os.geteuid() or config.linux.cgroups_path:
            raise
        manager = cgroups.none("none was delegated to this user")
    return _limited(manager, config)


def _limited(manager: Manager, config: oci_runtime.Config) -> Manager:
    try:
        manager.apply(resources(config))
    except BaseException:
        manager.delete()
        raise
    return manager


# What every container may use, whatever its rules say: making any node, and the default devices
_ALLOWED = tuple(
    {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    for kind, major, minor, access in (
        *(("c", -1, -1, "m"), ("b", -1, -1, "m")),
        *(("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
        *(("c", 5, 0, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, -1, "rwm")),
    )
)


def resources(config: oci_runtime.Config) -> dict[str, Any]:
    """The limits, and where devices are ruled, the exceptions that the specification promises."""
    limits = config.linux.resources
    rules = limits.get("devices")
    if not rules:
        return limits
    return {**limits, "devices": [*rules, *_ALLOWED]}


def _spawn(
    config: oci_runtime.Config, plan: plans.Plan, options: Options, manager: Manager
) -> Created:
    ours, theirs = channels.pair()
    wires = channels.Wires(
        theirs,
        gate=options.gate,
        stdio=options.stdio,
        console=options.console.fileno() if options.console is not None else -1,
    )
    doors = cgroups.open_doors(manager, config.linux.resources, copies=plan.copies_up)
    wires.cgroups, wires.late_cgroups, unified = doors
    need_sources = container_mounts.load_rare(plan)
    if need_sources:
        from sampan.runtime import sources

        wires.held = sources.open_ahead(plan)
    try:
        pid, pidfd = clone.clone(
            plan.new & ~(CLONE.NEWCGROUP | CLONE.NEWTIME),
            lambda: init.run(plan, wires),
            user=plan.joins("user"),
            pids=plan.joins("pid"),
            cgroup=unified,
            early=(early := _early(plan, wires)),
            sibling=options.for_parent,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for fd in (*wires.cgroups, *wires.late_cgroups, unified):
            if fd >= 0:
                os.close(fd)

    def run_hooks() -> None:
        state = {**plan.state, "pid": pid}
        from sampan.runtime import hooks

        hooks.run_all(plan.hooks.prestart, "prestart", state)
        hooks.run_all(plan.hooks.create_runtime, "createRuntime", state)

    created = Created(pid, pidfd, ours, manager, run_hooks)
    if need_sources:
        from sampan.runtime import sources

        created.sources = sources.Server(plan, pid, wires.held, ours)
    created.callers_parents = options.for_parent and not (early or plan.joins("user") >= 0)
    created.agent, created.state = plan.process.listener, {**plan.state, "pid": pid}
    try:
        if plan.new & CLONE.NEWUSER:
            _map_ids(config.linux, pid)
        free_cpus(pid)
        settle(plan.process, pid, manager if plan.joins("user") >= 0 else None)
        _special(config, plan, options.container_id, created)
        created.send_go()
        created.wait_joined()
    except BaseException:
        created.abort()
        raise
    return created


def _special(
    config: oci_runtime.Config, plan: plans.Plan, container_id: str, created: Created
) -> None:
    """What few ask for and only the caller can do, while the child waits."""
    if plan.net_devices:
        from sampan.runtime import special

        special.move_devices(plan, created.pid)
    if config.linux.intel_rdt:
        from sampan.linux import resctrl

        group = resctrl.Group(config.linux.intel_rdt, container_id)
        created.undo = group.remove
        group.make()
        group.add(created.pid)


def _early(plan: plans.Plan, wires: channels.Wires) -> Callable[[], None] | None:
    """With a user namespace: join first what may belong to the host and not to that one."""
    kinds = [kind for kind, _fd in plan.joined if kind not in ("user", "pid", "mount")]
    if not (plan.user_namespace and kinds):
        return None

    def join() -> None:
        for kind in kinds:
            try:
                namespaces.setns(plan.joins(kind), namespaces.FLAGS[kind])
            except PermissionError:  # it is the other one's: from inside, then
                continue
            wires.joined.add(kind)

    return join


def free_cpus(pid: int) -> None:
    """The caller may be bound to a few CPUs; the container is bound by its cgroup alone."""
    count = os.cpu_count() or 1
    if len(os.sched_getaffinity(0)) < count:
        try:
            os.sched_setaffinity(pid, range(count))
        except OSError:  # not ours to insist
            pass


def settle(plan: ProcessPlan, pid: int, manager: Manager | None) -> None:
    """What only the caller can do to the new process, from the host's side; 0 is ourselves."""
    if manager:
        manager.add(pid)
    if plan.oom_score_adj is not None:
        credentials.set_oom_score(pid, plan.oom_score_adj)
    credentials.set_rlimits(pid, plan.rlimits)


def _map_ids(linux: oci_runtime.Linux, pid: int) -> None:
    for kind, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        triples = mount_plan.triples(mappings)
        try:
            if os.geteuid():
                from sampan.runtime import rootless

                rootless.write_map(pid, kind, triples)
            else:
                namespaces.write_map(pid, kind, triples)
        except OSError as error:
            raise errors.InvalidConfig(
                f"linux.{kind}Mappings were refused: {errors.reason(error)}"
            ) from error
