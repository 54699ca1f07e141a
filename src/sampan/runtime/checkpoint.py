"""`checkpoint`: a container's processes become files, by criu; `restore` is the way back.

Beside criu's own files two small ones: `descriptors.json`, what stdin, stdout and stderr were (a
pipe is handed in again), and `mounts.json`, where the mounts come from that are not the
container's alone (criu calls them external: bind mounts, masked files, cgroups of v1).
"""

from __future__ import annotations

import os

from sampan.kit import json
from sampan.kit.record import Record
from sampan.linux import criu, files
from sampan.linux.mount import MS
from sampan.runtime import delete, errors, mount_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from sampan.linux.cgroup import Manager
    from sampan.runtime.state import Container

    class Running(Protocol):
        """What is to be known of a container that is saved: `state.Container` has it."""

        @property
        def pid(self) -> int: ...
        @property
        def rootfs(self) -> str: ...
        @property
        def bundle(self) -> str: ...
        @property
        def config(self) -> oci_runtime.Config: ...
        @property
        def manager(self) -> Manager: ...

    from sampan.spec import oci_runtime

DESCRIPTORS, MOUNTS = "descriptors.json", "mounts.json"
EXTERNAL_NAMESPACES = {"network": "net", "pid": "pid"}  # those criu can leave to somebody else


class Options(Record):
    """What the flags of `checkpoint` and `restore` ask for."""

    image_path: str
    work_path: str = ""  # of criu's log; "" is the image's
    parent_path: str = ""  # an earlier pre-dump, relative to the image's directory
    leave_running: bool = False
    pre_dump: bool = False
    tcp_established: bool = False
    tcp_skip_in_flight: bool = False
    link_remap: bool = False
    ext_unix_sk: bool = False
    shell_job: bool = False
    file_locks: bool = False
    auto_dedup: bool = False
    manage_cgroups: str = "soft"  # criu.CGROUP_MODES
    empty_namespaces: tuple[str, ...] = ()
    page_server: str = ""  # ADDRESS:PORT that takes the memory
    lsm_profile: str = ""


class Directories:
    """Those of the image and of criu's log, open while criu works."""

    def __init__(self, options: Options, *, make: bool) -> None:
        self.image = os.path.abspath(options.image_path)
        self.work = os.path.abspath(options.work_path) if options.work_path else self.image
        for path, wanted in ((self.image, make), (self.work, True)):
            if wanted:
                os.makedirs(path, 0o700, exist_ok=True)
        self._fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (self.image, self.work)]

    def fields(self) -> dict[str, Any]:
        return {"images_dir_fd": self._fds[0], "work_dir_fd": self._fds[1]}

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


def checkpoint(container: Container, options: Options) -> None:
    """Save it; unless it is left running (or this is a pre-dump) it is deleted then."""
    if container.status not in ("running", "paused"):
        raise errors.WrongState(f"cannot checkpoint a container that is {container.status}")
    save(container, options)
    if not (options.leave_running or options.pre_dump):
        delete.delete(container, force=True)


def save(container: Running, options: Options) -> None:
    """Write the files; unless it is left running (or this is a pre-dump) its processes end."""
    check(options)
    _check_parent(options)
    places = Directories(options, make=True)
    try:
        fields = {**common(container.config, options), **places.fields(), **_dump(container)}
        fields.update(log_file="dump.log", leave_running=options.leave_running or options.pre_dump)
        if options.parent_path:
            fields["parent_img"] = options.parent_path
        if options.pre_dump:
            fields["track_mem"] = True
        else:
            _describe(container, places.image)
            mounts = external_mounts(container)
            _write(f"{places.image}/{MOUNTS}", {name: source for _at, name, source in mounts})
            fields["external"] += [f"mnt[{at}]:{name}" for at, name, _source in mounts]
        kind = criu.PRE_DUMP if options.pre_dump else criu.DUMP
        ask(criu.start(), kind, fields, lambda stage, pid, fd: None, f"{places.work}/dump.log")
    finally:
        places.close()


def check(options: Options) -> None:
    """What fits neither way; raises InvalidConfig or NotPermitted."""
    if os.geteuid():
        raise errors.NotPermitted("checkpoint and restore are for root only")
    if options.manage_cgroups not in criu.CGROUP_MODES:
        raise errors.InvalidConfig(
            f"--manage-cgroups-mode: {options.manage_cgroups!r} is none of "
            f"{', '.join(criu.CGROUP_MODES)}"
        )
    for name in options.empty_namespaces:
        if name != "network":
            raise errors.InvalidConfig(f"--empty-ns: {name!r} is not network")
    address, _, port = options.page_server.rpartition(":")
    if options.page_server and not (address and port.isdecimal()):
        raise errors.InvalidConfig(f"--page-server: {options.page_server!r} is not ADDRESS:PORT")


def _check_parent(options: Options) -> None:
    path = options.parent_path
    if path and path.startswith("/"):
        raise errors.InvalidConfig(f"--parent-path: {path} must be relative to --image-path")
    if path and not os.path.isdir(os.path.join(options.image_path, path)):
        raise errors.InvalidConfig(
            f"--parent-path: {path} is no directory, seen from {options.image_path}"
        )


def common(config: oci_runtime.Config, options: Options) -> dict[str, Any]:
    """Fields of criu's request that both ways have."""
    fields: dict[str, Any] = {
        "log_level": 4,
        "notify_scripts": True,
        "orphan_pts_master": True,
        "evasive_devices": True,
        "force_irmap": True,
        "tcp_established": options.tcp_established,
        "tcp_skip_in_flight": options.tcp_skip_in_flight,
        "link_remap": options.link_remap,
        "ext_unix_sk": options.ext_unix_sk,
        "shell_job": options.shell_job,
        "file_locks": options.file_locks,
        "auto_dedup": options.auto_dedup,
        "manage_cgroups": options.manage_cgroups != "ignore",
        "manage_cgroups_mode": criu.CGROUP_MODES[options.manage_cgroups],
        "external": [],
    }
    if options.empty_namespaces:
        fields["empty_ns"] = criu.EMPTY_NETWORK
    if options.page_server:
        address, _, port = options.page_server.rpartition(":")
        fields["ps"] = {"address": address, "port": int(port)}
    if options.lsm_profile:
        fields["lsm_profile"] = options.lsm_profile
    if file := config.annotations.get("org.criu.config"):
        fields["config_file"] = file
    return fields


def ask(worker: criu.Worker, kind: int, fields: dict[str, Any], told: criu.Told, log: str) -> int:
    """The restored process's id; an error of criu's has the last lines its log complains of."""
    try:
        return worker.request(kind, fields, told)
    except criu.CriuFailed as error:
        try:
            with open(log, encoding="utf-8", errors="replace") as file:
                lines = [line.partition("): ")[2].strip() for line in file if "Error (" in line]
        except OSError:
            lines = []
        reason = "; ".join(lines[-3:]) or str(error)
        raise errors.StartFailed(
            f"criu failed (errno {error.code}): {reason}; log: {log}"
        ) from error


def _dump(container: Running) -> dict[str, Any]:
    fields: dict[str, Any] = {"pid": container.pid, "root": container.rootfs, "external": []}
    paths = container.manager.paths()
    if frozen := paths.get("freezer") or ("" if "freezer" in paths else paths.get("")):
        fields["freeze_cgroup"] = frozen
    for item in container.config.linux.namespaces:
        short = EXTERNAL_NAMESPACES.get(item.type)
        if item.path and short:
            inode = os.stat(item.path).st_ino
            fields["external"].append(f"{short}[{inode}]:{namespace_key(item.type)}")
    return fields


def namespace_key(kind: str) -> str:
    """What a joined namespace is called between dump and restore."""
    return f"sampan-{kind}"


def _describe(container: Running, image: str) -> None:
    names = [os.readlink(f"/proc/{container.pid}/fd/{fd}") for fd in range(3)]
    _write(f"{image}/{DESCRIPTORS}", names)


def _write(path: str, document: object) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(document))


def bind_sources(config: oci_runtime.Config, bundle: str) -> dict[str, str]:
    """Destination → source on the host, of the bind mounts of config.json."""
    plans = [mount_plan.make(item, bundle) for item in config.mounts]
    return {p.destination: p.source for p in plans if p.options.flags & MS.BIND}


def external_mounts(container: Running) -> list[tuple[str, str, str]]:
    """(where, its name in the image, source on the host) of each mount that criu cannot make."""
    found = {}
    binds = bind_sources(container.config, container.bundle)
    root = os.open(f"/proc/{container.pid}/root", os.O_PATH | os.O_CLOEXEC)
    for destination, source in binds.items():
        place = files.open_in_root(root, destination)
        found[os.readlink(files.magic(place))] = (destination, source)
        os.close(place)
    os.close(root)
    own_cgroups = any(item.type == "cgroup" for item in container.config.linux.namespaces)
    for inner, kind, at in _mounts(container.pid):
        if at in found:
            continue
        if kind == "devtmpfs":  # a masked file, or a device that a user namespace cannot make
            found[at] = (at, f"/dev{inner}")
        elif kind in ("cgroup", "cgroup2") and not own_cgroups and at != "/sys/fs/cgroup":
            found[at] = (at, f"{at}{inner}".rstrip("/"))  # the host has them at the same place
    return [(at, name, source) for at, (name, source) in found.items()]


def _mounts(pid: int) -> list[tuple[str, str, str]]:
    """(root within its file system, type, mount point) of each: proc_pid_mountinfo(5)."""
    found = []
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fields = before.split(" ")
            found.append((fields[3], after.split(" ")[0], fields[4].replace("\\040", " ")))
    return found
