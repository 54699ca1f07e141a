"""Which program runs a container: ours, or another OCI runtime by name.

The table is the setting `runtimes`, in the form of Docker's daemon.json. Well-known runtimes that
are installed need no entry. What no entry and no program stands for, but Docker's users write for
the usual runtime, is ours.

Another runtime works below our monitor (`shim.oci_program`), which is told the program's path and
arguments at each start; a running container keeps what it was started with.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from sampan.engine import cgroups
from sampan.kit import errors
from sampan.shim import oci_program

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.settings import Settings

OWN = ("sampan", "runc", "io.containerd.runc.v2")  # ours, where nothing else has the name
_OWN_PATH = "sampan-oci"
_KNOWN = ("runc", "crun", "youki", "runsc", "kata-runtime")
_SYSTEMD = "--systemd-cgroup"  # has the same name in all of them
_INITS = ("docker-init", "tini-static", "catatonit")
_INIT_PLACE = "/sbin/docker-init"


def table(settings: Settings) -> dict[str, dict[str, Any]]:
    """Name → {"path", "runtimeArgs"}, as `docker info` shows it."""
    installed = {name: path for name in _KNOWN if (path := shutil.which(name))}
    return {
        **{name: {"path": _OWN_PATH} for name in OWN},
        **{name: {"path": path} for name, path in installed.items()},
        **settings["runtimes"],
    }


def is_own(settings: Settings, name: str) -> bool:
    """Whether the name (or none) stands for our runtime."""
    name = name or settings["default-runtime"]
    if name == OWN[0] and name not in settings["runtimes"]:
        return True
    entry = table(settings).get(name)
    if entry is None:
        raise errors.InvalidArgument(f"unknown or invalid runtime name: {name}")
    return bool(entry["path"] == _OWN_PATH)


def words(container: Container) -> tuple[str, ...]:
    """The program and its arguments; none for our own. Unavailable where it is not there."""
    name, settings = container.host_config.get("Runtime") or "", container.engine.settings
    if is_own(settings, name):
        return ()
    entry = table(settings)[name]
    path = shutil.which(entry["path"])
    if path is None:
        raise errors.Unavailable(f"runtime {name}: there is no program {entry['path']}")
    arguments = [*map(str, entry.get("runtimeArgs") or ())]
    if container.cgroup_driver == cgroups.SYSTEMD and _SYSTEMD not in arguments:
        arguments.append(_SYSTEMD)
    return (os.path.abspath(path), *arguments)


def other(container: Container) -> oci_program.Handle | None:
    """The other runtime that this container runs below, if one does."""
    run = container.engine.paths.container_run(container.id)
    return oci_program.find(run, container.id)


def add_init(document: dict[str, Any]) -> None:
    """`--init` for a runtime that has none of its own: a small one of the host, as dockerd does."""
    path = next(filter(None, map(shutil.which, _INITS)), None)
    if path is None:
        raise errors.Unavailable(
            f"--init with another runtime needs one of {', '.join(_INITS)} on the host"
        )
    bind = {"destination": _INIT_PLACE, "type": "bind", "source": os.path.realpath(path)}
    document["mounts"].append({**bind, "options": ["bind", "ro"]})
    process = document["process"]
    process["args"] = [_INIT_PLACE, "--", *process["args"]]
