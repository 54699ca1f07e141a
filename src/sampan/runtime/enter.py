"""The child's way into its namespaces, its cgroup and its settings of the kernel.

Like `init`, this runs after the fork and imports nothing any more.
"""

from __future__ import annotations

import os

from sampan.linux import files, namespaces, netns, process
from sampan.linux.namespaces import CLONE
from sampan.runtime import errors
from sampan.runtime.channel import expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.channel import Wires
    from sampan.runtime.plan import Plan
    from sampan.runtime.process_plan import ProcessPlan


def enter(plan: Plan, wires: Wires) -> None:
    """Wait until the caller has mapped our ids; go into the cgroup, then join the rest."""
    if not wires.settled:
        expect(wires.channel, "go")
    _go_into(wires.cgroups)
    if not wires.settled:
        wires.channel.send("joined")
    open_label(plan.process, wires)
    _join(plan, wires.joined)
    os.setsid()
    if plan.user_namespace:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    if plan.new & CLONE.NEWNET:
        netns.loopback_up()
    if plan.process.new_keyring:
        _keyring(plan.process.new_keyring)
    if plan.hostname:
        process.sethostname(plan.hostname)
    if plan.domainname:
        process.setdomainname(plan.domainname)
    for name, value in plan.sysctl:
        _sysctl(name, value)


def _go_into(cgroups: list[int]) -> None:
    while cgroups:
        fd = cgroups.pop()
        os.write(fd, b"0")
        os.close(fd)  # RLIMIT_NOFILE holds already, and may be small


class LateCgroups:
    """The cgroups still to be joined, and the cgroup namespace, whose root is what we are in."""

    def __init__(self, plan: Plan, wires: Wires) -> None:
        self._files, self._namespace = wires.late_cgroups, plan.new & CLONE.NEWCGROUP

    def directories(self) -> list[str]:
        """Where we shall be, as the host's mounts have it."""
        return [os.path.dirname(os.readlink(files.magic(fd))) for fd in self._files]

    def join(self) -> None:
        _go_into(self._files)
        if self._namespace:
            namespaces.unshare(CLONE.NEWCGROUP)
            self._namespace = 0


def open_label(plan: ProcessPlan, wires: Wires) -> None:
    """While /proc is the host's."""
    if plan.tuning:
        from sampan.runtime import tuning  # loaded when the plan was made

        wires.label = tuning.open_label(plan.tuning)


def _join(plan: Plan, joined: set[str]) -> None:
    for kind, fd in plan.joined:
        if kind in ("user", "pid") or kind in joined:
            continue
        try:
            namespaces.setns(fd, namespaces.FLAGS[kind])
        except OSError as error:
            raise errors.NotPermitted(
                f"linux.namespaces: the {kind} namespace cannot be joined: {errors.reason(error)}"
            ) from error
    if plan.new & CLONE.NEWTIME:
        _new_time(plan.time_offsets)


def _new_time(offsets: str) -> None:
    """time_namespaces(7): unshare is for children only, until then the clocks can be set."""
    namespaces.unshare(CLONE.NEWTIME)
    if offsets:
        _write_offsets(offsets)
    fd = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.setns(fd, CLONE.NEWTIME)
    os.close(fd)


def _write_offsets(offsets: str) -> None:
    try:
        fd = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, offsets.encode())
        os.close(fd)
    except OSError as error:
        raise errors.InvalidConfig(
            f"linux.timeOffsets: /proc/self/timens_offsets: {errors.reason(error)}"
        ) from error


def _keyring(name: str) -> None:
    try:
        process.join_session_keyring(name)
    except OSError:  # no keyrings in this kernel, or a seccomp filter above us: not ours to insist
        pass


def _sysctl(name: str, value: str) -> None:
    """Through the host's /proc, and only if nothing lies over it there (CVE-2025-52881)."""
    top = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        strict = files.RESOLVE.BENEATH | files.RESOLVE.NO_SYMLINKS | files.RESOLVE.NO_XDEV
        fd = files.openat2(top, f"sys/{name}", os.O_WRONLY, 0, strict)
        os.write(fd, value.encode())
        os.close(fd)
    except OSError as error:
        raise errors.InvalidConfig(
            f"sysctl {name.replace('/', '.')}={value}: {errors.reason(error)}"
        ) from error
    finally:
        os.close(top)
