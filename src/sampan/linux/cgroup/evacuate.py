"""The way out of a cgroup that shall hand down controllers: processes may be in its leaves only
(cgroup-v2.rst, "No Internal Process Constraint")."""

from __future__ import annotations

from sampan.linux.cgroup import base, files, host

LEAF = "init"  # the name that others use for this, too


def own_root() -> bool:
    """Move all that is in the root of our cgroup namespace into a leaf; whether there was need.

    In a container the root of /sys/fs/cgroup is the container's own cgroup with the container's
    processes in it, ourselves among them. The host's true root (it has no cgroup.type) is exempt.
    Raises OSError where the container may not write there.
    """
    layout = host.layout()
    if layout.v1 or layout.unified is None:
        return False
    top = layout.unified.mount_point
    if not files.exists(f"{top}/cgroup.type") or host.own_cgroups().get("") != "/":
        return False
    leaf = f"{top}/{LEAF}"
    base.make(leaf)
    while found := files.read(f"{top}/cgroup.procs").split():  # they may fork meanwhile
        for pid in found:
            try:
                base.enter(leaf, int(pid))
            except ProcessLookupError:
                pass
    return True
