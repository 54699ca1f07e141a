"""Which cgroup a container gets, and who makes it: Docker's `native.cgroupdriver`.

- cgroupfs: PARENT/ID, made by us; PARENT is /sampan.
- systemd: the scope sampan-ID.scope in a slice (system.slice), made by systemd when asked: so it
  stays the single writer of its tree.

Unsaid, it is systemd where that is PID 1 and cgroup v2 is all there is, as with dockerd. A running
container keeps what it was started with, whatever the next engine is told.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.linux import cgroup
from sampan.linux.cgroup import host
from sampan.linux.cgroup.errors import InvalidLimit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.settings import Settings

CGROUPFS, SYSTEMD = "cgroupfs", "systemd"
_OPTION = "native.cgroupdriver"
_SLICE = "system.slice"


def asked(settings: Settings) -> str:
    """The driver that `exec-opts` names, or ""; InvalidArgument for what it does not know."""
    found = ""
    for text in settings["exec-opts"]:
        key, _, value = text.partition("=")
        if key.strip().lower() != _OPTION:
            raise errors.InvalidArgument(f"exec-opts: {text!r} is not {_OPTION}=DRIVER")
        found = value.strip()
        if found not in (CGROUPFS, SYSTEMD):
            raise errors.InvalidArgument(f"exec-opts: {_OPTION} is {CGROUPFS} or {SYSTEMD}")
    if found == SYSTEMD:
        check_parent(found, settings["cgroup-parent"])
    return found


def choose(settings: Settings) -> str:
    """The driver of this engine; InvalidArgument where the host cannot have the one asked for."""
    found = asked(settings)
    booted = host.booted_by_systemd()
    if found == SYSTEMD and not booted:
        raise errors.InvalidArgument(f"exec-opts: {_OPTION}={SYSTEMD}: systemd is not PID 1 here")
    if not found:
        found = SYSTEMD if booted and cgroup.unified() else CGROUPFS
    check_parent(found, settings["cgroup-parent"])
    return found


def check_parent(driver: str, parent: str) -> None:
    """dockerd's check, and its words."""
    if driver == SYSTEMD and parent and (len(parent) <= 6 or not parent.endswith(".slice")):
        raise errors.InvalidArgument(
            'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
        )


def place(container: Container, driver: str) -> str:
    """What `linux.cgroup.manager` takes, and config.json's cgroupsPath."""
    parent = container.host_config.get("CgroupParent") or ""
    ours = container.engine.paths.cgroup_parent
    if driver == SYSTEMD:
        return f"{parent or _SLICE}:{ours[1:]}:{container.id}"
    parent = parent or ours
    return f"{parent if parent.startswith('/') else '/' + parent}/{container.id}"


def of_running(container: Container) -> str:
    """The driver that made the cgroup of its PID 1."""
    try:
        paths = host.own_cgroups(container.pid).values()
    except OSError:  # it has just ended
        return container.engine.cgroup_driver
    scope = f"/{container.engine.paths.cgroup_parent[1:]}-{container.id}.scope"
    return SYSTEMD if any(f"{scope}/" in f"{path}/" for path in paths) else CGROUPFS


def parent(engine: Engine) -> cgroup.Manager:
    """What is above the containers that name no parent; there, whichever driver."""
    if engine.cgroup_driver == SYSTEMD:
        return cgroup.manager(f"/{_SLICE}")
    made = cgroup.manager(engine.paths.cgroup_parent)
    made.create()
    return made


def leftovers(engine: Engine) -> Iterator[tuple[str, cgroup.Manager]]:
    """Cgroups that are there for no running container: its id, and what ends them. Those with a
    parent of their own are not looked for."""
    known = {container.id for container in engine.containers if container.running}
    ours = engine.paths.cgroup_parent
    prefix = f"{ours[1:]}-"
    for names, above in ((f"{ours}/{{}}", ours), (f"{_SLICE}:{ours[1:]}:{{}}", f"/{_SLICE}")):
        seen: set[str] = set()
        for directory in cgroup.manager(above).paths().values():
            if os.path.isdir(directory):
                seen.update(os.listdir(directory))
        if above != ours:
            seen = {name[len(prefix) : -len(".scope")] for name in seen
                    if name.startswith(prefix) and name.endswith(".scope")}  # fmt: skip
        for found in sorted(name for name in seen if len(name) == 64 and name not in known):
            yield found, cgroup.manager(names.format(found))


def end(container: Container) -> None:
    """Of one whose monitor is gone, and whose driver may have been another."""
    for driver in (CGROUPFS, SYSTEMD) if host.booted_by_systemd() else (CGROUPFS,):
        try:
            made = cgroup.manager(place(container, driver))
        except InvalidLimit:  # its parent is the other driver's
            continue
        if any(map(os.path.isdir, made.paths().values())):
            made.kill()
            made.delete()
