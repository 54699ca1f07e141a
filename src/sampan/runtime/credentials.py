"""Who the process is: rlimits, groups, ids, capabilities, in the order the kernel needs."""

from __future__ import annotations

import errno
import os

from sampan.linux import capabilities, process
from sampan.linux.process import PR
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.process_plan import ProcessPlan


def set_rlimits(pid: int, limits: tuple[tuple[str, int, int], ...]) -> None:
    for name, soft, hard in limits:
        try:
            process.prlimit(pid, process.RLIMITS[name], (soft, hard))
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            now = process.prlimit(pid, process.RLIMITS[name])[1]
            raise errors.NotPermitted(
                f"process.rlimits: {name} cannot be raised to {hard}: this host lacks "
                f"CAP_SYS_RESOURCE and its hard limit is {now}"
            ) from error


def set_oom_score(pid: int, score: int) -> None:
    try:
        # In bytes: a text file may want a codec, and nothing is imported by now.
        with open(f"/proc/{pid or 'self'}/oom_score_adj", "wb", buffering=0) as file:
            file.write(str(score).encode())
    except OSError as error:
        raise errors.NotPermitted(
            f"process.oomScoreAdj: {score} was refused ({errors.reason(error)}); "
            "lowering it needs CAP_SYS_RESOURCE"
        ) from error


def become(plan: ProcessPlan) -> None:
    """Give up what the process shall not have; from here on it has no power over the host."""
    sets = plan.capabilities
    if sets is not None:
        capabilities.drop_bounding(sets[0])
    process.prctl(PR.SET_KEEPCAPS, 1)
    _set_ids(plan)
    if plan.umask is not None:
        os.umask(plan.umask)
    process.prctl(PR.SET_KEEPCAPS, 0)
    if sets is not None:
        # after the change of ids the effective set is empty, but what is permitted is still there
        capabilities.set_(sets[1], sets[2], sets[3])
        capabilities.set_ambient(sets[4])
    elif plan.uid:
        capabilities.set_(0, 0, 0)


def _set_ids(plan: ProcessPlan) -> None:
    if plan.groups is not None:
        _set_groups(plan.groups, user_namespace=plan.user_namespace)
    try:
        os.setresgid(plan.gid, plan.gid, plan.gid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise errors.InvalidConfig(
            f"process.user: {plan.uid}:{plan.gid} is not mapped in the container's user namespace"
        ) from error


def _set_groups(groups: tuple[int, ...], *, user_namespace: bool) -> None:
    try:
        os.setgroups(groups)
    except PermissionError:
        # user_namespaces(7): setgroups(2) may be denied for good, then there is nothing to drop
        if groups or not user_namespace:
            raise
