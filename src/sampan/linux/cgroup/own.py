"""A cgroup of one's own for a daemon that somebody's command has started.

    own.take("sampand")     # out of the caller's: neither its limits nor its end are the daemon's
    own.give_back("sampand")

Under systemd it is the scope NAME.scope, whose stop ends the daemon and leaves alone who ignores
SIGTERM; elsewhere a cgroup NAME at the top of each hierarchy.
"""

from __future__ import annotations

import os

from sampan.linux import cgroup
from sampan.linux.cgroup import files, host

_PATIENCE = 10_000_000  # µs that systemd waits for an end


def take(name: str) -> None:
    """Of a process with one thread. Raises OSError, NoCgroups, Conflict (systemd's word): it stays
    where it is."""
    if host.booted_by_systemd():
        from sampan.linux.cgroup import systemd

        properties = {
            "Description": ("s", f"{name}, started by a command"),
            "Delegate": ("b", True),
            "SendSIGKILL": ("b", False),
            "TimeoutStopUSec": ("t", _PATIENCE),
        }
        systemd.enclose(f"{name}.scope", os.getpid(), properties)
        return
    made = cgroup.manager(f"/{name}")
    for last in (False, False, True):
        made.create()
        try:
            for controller, directory in made.paths().items():
                # A thread that moves itself waits for no lock of all processors; v2 has no `tasks`.
                files.write(f"{directory}/{'tasks' if controller else 'cgroup.procs'}", "0")
            return
        except FileNotFoundError:  # the daemon before us is giving it back
            if last:
                raise


def give_back(name: str) -> None:
    """Go to the top of each hierarchy, if we are in that cgroup, and remove it; systemd's ends by
    itself. Raises CgroupBusy where somebody else is still in."""
    if host.booted_by_systemd():
        return
    if any(path.endswith(f"/{name}") for path in host.own_cgroups().values()):
        cgroup.manager("/").add(os.getpid())
    cgroup.manager(f"/{name}").delete()
