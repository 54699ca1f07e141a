"""`restore`: a container again from what `checkpoint` saved.

criu wants the root to be a mount point, so this process takes a mount namespace of its own (criu
opens our descriptors, so it has to be the same one). It works in the new container's cgroup; the
processes it makes become children of ours.
"""

from __future__ import annotations

import os

from sampan.kit import json
from sampan.kit.record import Record
from sampan.linux import criu, files, mount, namespaces
from sampan.linux.mount import MS
from sampan.linux.namespaces import CLONE
from sampan.runtime import (
    cgroups,
    checkpoint,
    create,
    delete,
    errors,
    foreground,
    hooks,
    mount_plan,
    plan,
    run,
    state,
)
from sampan.runtime import channel as channels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.checkpoint import Options
    from sampan.runtime.mount_plan import MountPlan
    from sampan.runtime.run import Launch
    from sampan.spec import oci_runtime


def restore(launch: Launch, options: Options) -> int:
    """Its exit code, or 0 at once with `detach`."""
    checkpoint.check(options)
    config, text, bundle = run.read_bundle(launch.bundle, launch.config)
    if not os.path.isdir(options.image_path):
        raise errors.InvalidConfig(f"--image-path {options.image_path} is not a directory")
    root = plan.find_root(config.root, bundle)
    directory = state.reserve(launch.root, launch.container_id, text)
    manager = None
    try:
        if launch.subreaper and not launch.detach:
            foreground.adopt()
        terminal = foreground.Terminal.needed(config.process, launch.console_socket)
        console = terminal.sender if terminal else foreground.console(launch.console_socket)
        manager = _cgroup(launch, config, options)
        foreground.catch_signals(detached=launch.detach)
        work = _Work(
            launch=launch,
            config=config,
            bundle=bundle,
            root=root,
            manager=manager,
            console=console,
        )
        pid = work.restore(options)
        pidfd = os.pidfd_open(pid)
        container = run.record(launch, directory, config, pid=pid, pidfd=pidfd, manager=manager)
        if terminal:
            terminal.receive()
        if launch.detach:
            return 0
        code = foreground.wait(pid, pidfd, terminal)
    except BaseException:
        if manager:
            manager.kill()
            manager.delete()
        state.remove(directory)
        raise
    if not launch.keep:
        delete.delete(container, force=True, warn=launch.warn)
    return code


def bring_back(
    config: oci_runtime.Config, options: Options, *, container_id: str, root: str, bundle: str,
    manager: Manager, console: Any = None, program: str = "",
) -> int:  # fmt: skip
    """The first process's id; it is our parent's child, so that it outlives us.

    For a caller who keeps books of his own: the cgroup is there, the root file system is mounted,
    and 0, 1 and 2 are what the container's pipes become.
    """
    checkpoint.check(options)
    launch = run.Launch(root="", container_id=container_id, bundle=bundle)
    work = _Work(
        launch=launch, config=config, bundle=bundle, root=root, manager=manager, console=console,
        sibling=True, program=program,
    )  # fmt: skip
    return work.restore(options)


def _cgroup(launch: Launch, config: oci_runtime.Config, options: Options) -> Manager:
    if not launch.cgroups:
        return cgroups.none("--cgroup-manager disabled")
    path = cgroups.path_of(config, launch.container_id, systemd=launch.systemd)
    manager = cgroups.manager(config, path)
    cgroups.check_unused(manager)
    manager.create()
    if options.manage_cgroups != "ignore":
        manager.apply(create.resources(config))
    return manager


class _Work(Record):
    """One restore under way: what criu is asked, and what it asks meanwhile."""

    launch: Launch
    config: oci_runtime.Config
    bundle: str
    root: str
    manager: Manager
    console: Any
    program: str = ""  # criu's path, where PATH does not say it
    sibling: bool = False  # criu and what it restores are our parent's children

    def restore(self, options: Options) -> int:
        """The first process's id."""
        namespaces.unshare(CLONE.NEWNS)
        mount.mount("none", "/", "", MS.REC | MS.SLAVE)
        mount.mount(self.root, self.root, "", MS.BIND | MS.REC)
        _make_mount_points(self.root, self.config, self.bundle)
        places = checkpoint.Directories(options, make=False)
        joined = self._joined()
        worker = criu.start(self.program, sibling=self.sibling)
        try:
            self.manager.add(worker.pid)
            fields = {**checkpoint.common(self.config, options), **places.fields()}
            fields.update(root=self.root, rst_sibling=True, log_file="restore.log")
            fields["external"] = self._external(places.image)
            fields["inherit_fd"] = [*_pipes(places.image), *joined]
            if options.manage_cgroups != "ignore":
                fields["cg_root"] = self._cgroup_roots()
            log = f"{places.work}/restore.log"
            return checkpoint.ask(worker, criu.RESTORE, fields, self._told, log)
        finally:
            worker.close()
            places.close()
            for item in joined:
                os.close(item["fd"])

    def _joined(self) -> list[dict[str, Any]]:
        found = []
        for item in self.config.linux.namespaces:
            if item.path and item.type in checkpoint.EXTERNAL_NAMESPACES:
                fd = os.open(item.path, os.O_RDONLY)
                os.set_inheritable(fd, True)
                found.append({"key": checkpoint.namespace_key(item.type), "fd": fd})
        return found

    def _external(self, image: str) -> list[str]:
        sources = dict(_read(f"{image}/{checkpoint.MOUNTS}", {}))
        own = self.manager.paths()
        for name in sources:
            if name.startswith("/sys/fs/cgroup/"):  # of the new container, where it has one there
                controller = os.path.basename(name).split(",")[0]
                key = "" if controller == "unified" else controller
                sources[name] = own.get(key) or own.get(f"name={key}") or sources[name]
                if not os.path.isdir(sources[name]):
                    sources[name] = name
        binds = checkpoint.bind_sources(self.config, self.bundle)
        sources.update({name: binds[name] for name in sources if name in binds})
        return [f"mnt[{name}]:{source}" for name, source in sources.items()]

    def _cgroup_roots(self) -> list[dict[str, str]]:
        """Where each controller's processes go, below its mount point."""
        found = []
        for controller, directory in self.manager.paths().items():
            if controller:
                path = directory.removeprefix("/sys/fs/cgroup/").partition("/")[2]
                found.append({"ctrl": controller, "path": f"/{path}"})
        return found

    def _told(self, stage: str, pid: int, fd: int) -> None:
        if stage == "setup-namespaces":
            options = run.options(self.launch, self.config, self.bundle)
            document = {**plan.state_document(self.config, options), "pid": pid}
            hooks.run_all(self.config.hooks.prestart, "prestart", document)
            hooks.run_all(self.config.hooks.create_runtime, "createRuntime", document)
        if fd >= 0:
            if stage == "orphan-pts-master" and self.console is not None:
                channels.send_descriptor(self.console.fileno(), "/dev/ptmx", fd)
            os.close(fd)


def _make_mount_points(root: str, config: oci_runtime.Config, bundle: str) -> None:
    """Places of bind mounts that are gone since: also those inside the source of another one.

    The mounts themselves are made in a child's mount namespace, and end with it.
    """
    mounts = [mount_plan.make(item, bundle) for item in config.mounts]
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            namespaces.unshare(CLONE.NEWNS)
            _bind_all(root, mounts)
        except OSError as error:
            os.write(write, f"{error.filename or root}: {errors.reason(error)}".encode())
        finally:
            os._exit(0)
    os.close(write)
    message = os.read(read, 4096).decode(errors="replace")
    os.close(read)
    os.waitpid(pid, 0)
    if message:
        raise errors.MountFailed(f"the places of the bind mounts cannot be made: {message}")


def _bind_all(root: str, mounts: list[MountPlan]) -> None:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    covered: list[str] = []  # by file systems of the container's own: criu makes those
    for item in mounts:
        if not item.options.flags & MS.BIND:
            covered.append(f"{item.destination.rstrip('/')}/")
        elif not any(f"{item.destination}/".startswith(path) for path in covered):
            make = files.make_dirs if os.path.isdir(item.source) else files.make_file
            mount.bind(item.source, make(top, item.destination))


def _pipes(image: str) -> list[dict[str, Any]]:
    """Stdin, stdout, stderr that were pipes are ours now."""
    names = _read(f"{image}/{checkpoint.DESCRIPTORS}", [])
    return [{"key": name, "fd": fd} for fd, name in enumerate(names) if "pipe:" in name]


def _read(path: str, default: Any) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.loads(file.read())
    except FileNotFoundError:
        return default
