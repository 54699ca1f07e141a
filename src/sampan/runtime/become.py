"""Create a container from within: its PID 1 is cloned first and reads config.json itself.

    created = become.begin(manager, child)       # in the caller: it has its cgroup and PIDs
    become.become(config, options, channel, …)   # in the child: and all the rest
    created.wait_ready(); created.start()        # as with `create`

Against `create`, where the caller makes the plan and clones then, one process and all the pages
that it copies are saved. What needs somebody outside meanwhile (a user namespace, hooks on the
host, mapped mounts, a seccomp agent) is `create`'s alone.
"""

from __future__ import annotations

import os

from sampan.linux import cgroup, namespaces
from sampan.linux.namespaces import CLONE
from sampan.runtime import cgroups, clone, create, errors, init
from sampan.runtime import channel as channels
from sampan.runtime import mounts as container_mounts
from sampan.runtime import plan as plans
from sampan.runtime.created import Created

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from sampan.linux.cgroup import Manager
    from sampan.runtime.channel import Channel
    from sampan.spec import oci_runtime

_OWN = CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNET


def begin(manager: Manager, child: Callable[[Channel], NoReturn]) -> Created:
    """A child that is the first of a new PID namespace and, on v2, in its cgroup already.

    It runs `child`, which must call `become`. The caller must have one thread only.
    """
    cgroups.check_unused(manager)
    door = cgroups.first_door(manager)
    ours, theirs = channels.pair()
    try:
        pid, pidfd = clone.clone(CLONE.NEWPID, lambda: child(theirs), cgroup=door)
    except BaseException:
        ours.close()
        manager.delete()
        raise
    finally:
        theirs.close()
        if door >= 0:
            os.close(door)
    created = Created(pid, pidfd, ours, manager)
    try:
        create.free_cpus(pid)
        manager.create()  # the rest of it, while the child makes its plan
        created.send_go()
    except BaseException:
        created.abort()
        raise
    return created


def become(
    config: oci_runtime.Config,
    options: create.Options,
    channel: Channel,
    tell: Callable[[], None],
) -> NoReturn:
    """Be PID 1 of this container; errors before its namespaces are there are raised.

    `tell` is called when they are, while the host's files are still in sight.
    """
    plan = plans.make(config, options)
    if plan.user_namespace or plan.joins("pid") >= 0 or not plan.own_pids:
        raise errors.InvalidConfig("linux.namespaces: the container cannot be made from within")
    channels.expect(channel, "go")
    manager = cgroup.manager(options.cgroup)
    manager.apply(create.resources(config))
    if plan.new & CLONE.NEWCGROUP and plan.process.uid:
        cgroups.delegate(manager, config, plan)
    console = options.console.fileno() if options.console is not None else -1
    wires = channels.Wires(channel, stdio=options.stdio, console=console)
    doors = cgroups.open_doors(manager, config.linux.resources, copies=plan.copies_up)
    wires.cgroups, wires.late_cgroups, inside = doors
    if inside >= 0:
        os.close(inside)
    wires.settled = True
    container_mounts.load_rare(plan)
    namespaces.unshare(plan.new & _OWN)
    create.settle(plan.process, 0, None)
    tell()
    init.run(plan, wires)
