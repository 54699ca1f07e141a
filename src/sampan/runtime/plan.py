"""What is to be done, decided before anything is done.

`make` turns a Config into a Plan of plain values: flags, masks, resolved sources, compiled filters.
All refusals that need no kernel happen here, in the caller; the child then only executes.
"""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux.mount import MS
from sampan.linux.namespaces import CLONE
from sampan.runtime import devices, errors, mount_plan, namespace_plan, process_plan
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.create import Options
    from sampan.runtime.devices import DevicePlan
    from sampan.runtime.mount_plan import MountPlan
    from sampan.runtime.process_plan import ProcessPlan


class Plan(Record):
    process: ProcessPlan
    root: str
    root_readonly: bool
    rootfs: tuple[MountPlan, ...]
    mounts: tuple[MountPlan, ...]
    devices: tuple[DevicePlan, ...]
    host_dev: bool
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    propagation: str
    hostname: str
    domainname: str
    sysctl: tuple[tuple[str, str], ...]
    new: int  # CLONE flags of namespaces to make
    joined: tuple[tuple[str, int], ...]  # (OCI name, descriptor) of namespaces to join
    user_namespace: bool
    own_cgroup_namespace: bool
    no_pivot: bool
    time_offsets: str  # what /proc/self/timens_offsets takes
    net_devices: tuple[tuple[str, str], ...]  # (name on the host, name in the container)
    hooks: oci_runtime.Hooks
    state: dict[str, Any]  # what hooks read from their stdin

    @property
    def own_mounts(self) -> bool:
        return bool(self.new & CLONE.NEWNS)

    @property
    def own_pids(self) -> bool:
        return bool(self.new & CLONE.NEWPID)

    @property
    def copies_up(self) -> bool:
        """Whether a tmpfs begins with files of the image."""
        return any(item.options.copy_up for item in self.mounts)

    def joins(self, kind: str) -> int:
        """The descriptor of the namespace of this kind that is joined, or -1."""
        return dict(self.joined).get(kind, -1)


def make(config: oci_runtime.Config, options: Options) -> Plan:
    """Check all that can be checked before anything happens; raises InvalidConfig."""
    check_version(config.oci_version)
    if config.process is None:
        raise errors.InvalidConfig("process is missing")
    linux = config.linux
    if config.hooks is not oci_runtime.Config.hooks:
        from sampan.runtime import hooks

        hooks.check(config.hooks)
    if os.geteuid():
        from sampan.runtime import rootless

        rootless.check(config)
    if options.preserve_fds:
        _check_preserved(options.preserve_fds)
    new, joined = namespace_plan.make(linux)
    own_users = "user" in {item.type for item in linux.namespaces}
    root = find_root(config.root, options.bundle)
    mounts = tuple(
        [
            mount_plan.make(
                m,
                options.bundle,
                root=root,
                user_namespace=own_users,
                label=linux.mount_label,
            )
            for m in config.mounts
        ]
    )
    check_fit(config)
    _check_console(config.process, options)
    time_offsets, net_devices = _special(config)
    return Plan(
        process=process_plan.make(
            config.process,
            linux.seccomp,
            user_namespace=own_users,
            preserve_fds=options.preserve_fds,
            pdeathsig=options.pdeathsig,
            init=options.init,
            new_keyring=f"_ses.{options.container_id}" if options.new_keyring else "",
            linux=linux,
            annotations=config.annotations,
        ),
        root=root,
        root_readonly=bool(config.root and config.root.readonly),
        rootfs=tuple(
            [mount_plan.make(m, options.bundle, user_namespace=own_users) for m in options.rootfs]
        ),
        mounts=mounts,
        devices=devices.plan(linux.devices),
        host_dev=any(m.destination == "/dev" and m.options.flags & MS.BIND for m in mounts),
        masked_paths=linux.masked_paths,
        readonly_paths=linux.readonly_paths,
        propagation=linux.rootfs_propagation,
        hostname=config.hostname,
        domainname=config.domainname,
        sysctl=namespace_plan.sysctl(linux.sysctl, linux),
        new=new,
        joined=joined,
        user_namespace=own_users,
        own_cgroup_namespace=any(item.type == "cgroup" for item in linux.namespaces),
        no_pivot=options.no_pivot,
        time_offsets=time_offsets,
        net_devices=net_devices,
        hooks=config.hooks,
        state=state_document(config, options),
    )


def check_version(text: str) -> None:
    if text.split(".")[0] != "1":
        raise errors.InvalidConfig(f"ociVersion: {text!r} is no version 1 of the specification")


def check_fit(config: oci_runtime.Config) -> None:
    """What fits together only with the namespaces that the container has."""
    linux = config.linux
    kinds = {item.type: item.path for item in linux.namespaces}
    for name, needed in ((config.hostname, "hostname"), (config.domainname, "domainname")):
        if name and "uts" not in kinds:
            raise errors.InvalidConfig(f"{needed} needs a uts namespace of the container")
    other = linux.sysctl.get("kernel.domainname", config.domainname)
    if config.domainname and other != config.domainname:
        raise errors.InvalidConfig(
            f"domainname is {config.domainname!r}, and sysctl kernel.domainname {other!r}"
        )
    if "mount" not in kinds and (linux.masked_paths or linux.readonly_paths):
        raise errors.InvalidConfig(
            "linux.maskedPaths and readonlyPaths need a mount namespace of the container"
        )
    propagation = linux.rootfs_propagation
    if propagation and propagation.lstrip("r") not in ("shared", "slave", "private", "unbindable"):
        raise errors.InvalidConfig(f"linux.rootfsPropagation: {propagation!r} is unknown")
    for kind, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        if kinds.get("user") == "" and not mappings:
            raise errors.InvalidConfig(f"linux.{kind}Mappings: a user namespace needs mappings")


def _special(config: oci_runtime.Config) -> tuple[str, tuple[tuple[str, str], ...]]:
    linux = config.linux
    if linux.time_offsets or linux.net_devices or linux.intel_rdt or linux.mount_label:
        from sampan.runtime import special

        return special.make(config)
    return "", ()


def find_root(spec: oci_runtime.Root | None, bundle: str) -> str:
    """The root's real path: below the bundle, no link may choose which directory it is."""
    if spec is None:
        raise errors.InvalidConfig("root is missing")
    path = spec.path
    real = os.path.realpath(bundle)
    root = os.path.normpath(os.path.join(real, path))
    if not path.startswith("/") and os.path.realpath(root) != root:
        raise errors.InvalidConfig(f"root.path {path}: a part of it is a symbolic link")
    if os.path.islink(root):
        raise errors.InvalidConfig(f"root.path {path} is a symbolic link")
    real = os.path.realpath(root)
    if not os.path.isdir(real):
        raise errors.InvalidConfig(f"root.path: {real} is not a directory")
    return real


def _check_preserved(count: int) -> None:
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise errors.InvalidConfig(f"--preserve-fds: descriptor {fd} is not open") from None


def _check_console(spec: oci_runtime.Process, options: Options) -> None:
    if spec.terminal and options.console is None:
        raise errors.InvalidConfig("cannot allocate tty if there is no console socket")


def state_document(config: oci_runtime.Config, options: Options) -> dict[str, Any]:
    """The specification's state, as hooks get it; status and pid are added when they run."""
    state: dict[str, Any] = {
        "ociVersion": oci_runtime.VERSION,
        "id": options.container_id,
        "status": "creating",
        "pid": 0,
        "bundle": options.bundle,
    }
    if config.annotations:
        state["annotations"] = config.annotations
    return state
