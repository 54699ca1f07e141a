"""`create` and `run` of the program: from a bundle on disk to a container with a state."""

from __future__ import annotations

import os

from sampan.kit import clock, json
from sampan.kit.record import Record
from sampan.runtime import (
    cgroups,
    create,
    delete,
    errors,
    foreground,
    run_files,
    start,
    state,
    trace,
)
from sampan.runtime import channel as channels
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.created import Created
    from sampan.runtime.state import Container


class Launch(Record):
    """What the flags of `create` and `run` ask for."""

    root: str
    container_id: str
    bundle: str = "."
    config: str = ""  # another file than the bundle's config.json
    console_socket: str = ""
    pidfd_socket: str = ""
    pid_file: str = ""
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    detach: bool = False
    keep: bool = False
    subreaper: bool = True
    systemd: bool = False  # its cgroup is a unit of systemd's
    cgroups: bool = True  # False: it gets none
    warn: Any = print  # told of what goes wrong after the container's end


def create_container(launch: Launch) -> None:
    """`create`: prepared up to its command, which `start` releases; the caller may go."""
    config, text, bundle = read_bundle(launch.bundle, launch.config)
    run_files.check_console(config.process, launch.console_socket, detached=True)
    directory = state.reserve(launch.root, launch.container_id, text)
    try:
        parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        gate = channels.listen(f"/proc/self/fd/{parent}/start.sock")
        os.close(parent)
        console = foreground.console(launch.console_socket)
        _made(launch, directory, config, bundle, gate=gate, console=console)
    except BaseException:
        state.remove(directory)
        raise


def run_container(launch: Launch) -> int:
    """`run`: its exit code, or 0 at once with `detach`."""
    config, text, bundle = read_bundle(launch.bundle, launch.config)
    run_files.check_console(config.process, launch.console_socket, detached=launch.detach)
    directory = state.reserve(launch.root, launch.container_id, text)
    container = None
    try:
        if launch.subreaper and not launch.detach:
            foreground.adopt()
        terminal = foreground.Terminal.needed(config.process, launch.console_socket)
        console = terminal.sender if terminal else foreground.console(launch.console_socket)
        created, container = _made(launch, directory, config, bundle, console=console)
        if terminal:
            terminal.receive()
        foreground.catch_signals(detached=launch.detach)
        notify = run_files.notifying()
        relay = notify.relay(directory) if notify else None
        created.start()
        start.poststart(container)
        if launch.detach:
            if relay:
                relay.wait(created.pid)
            return 0
        code = foreground.wait(created.pid, created.pidfd, terminal, relay)
    except BaseException:
        if container:
            delete.delete(container, force=True, warn=launch.warn)
        else:
            state.remove(directory)
        raise
    if not launch.keep:
        delete.delete(container, force=True, warn=launch.warn)
    return code


def _made(
    launch: Launch,
    directory: str,
    config: oci_runtime.Config,
    bundle: str,
    *,
    gate: int = -1,
    console: object = None,
) -> tuple[Created, Container]:
    """Created, ready to start, and on record."""
    sockets = 0
    if config.process:
        process, sockets = run_files.listen_fds(config.process)
        config = config.replace(process=process)
    if notify := run_files.notifying():
        config = notify.show(config, directory)
    chosen = options(launch, config, bundle)
    chosen = chosen.replace(console=console, gate=gate, preserve_fds=sockets + launch.preserve_fds)
    created = create.create(config, chosen)
    trace.say("nsexec container setup: namespaces and cgroup are made")
    created.wait_ready()
    trace.say("child process in init(): root file system and hooks are done")
    try:
        pid, pidfd = created.pid, created.pidfd
        container = record(launch, directory, config, pid=pid, pidfd=pidfd, manager=created.manager)
    except BaseException:
        created.abort()
        raise
    trace.say("init: closing the pipe to signal completion")
    return created, container


def options(launch: Launch, config: oci_runtime.Config, bundle: str) -> create.Options:
    return create.Options(
        container_id=launch.container_id,
        bundle=bundle,
        cgroup=_cgroup_path(launch, config) if launch.systemd else "",
        cgroups=launch.cgroups,
        preserve_fds=launch.preserve_fds,
        no_pivot=launch.no_pivot,
        new_keyring=not launch.no_new_keyring,
    )


def read_bundle(path: str, config: str = "") -> tuple[oci_runtime.Config, str, str]:
    """(config, its text, the bundle's absolute path)"""
    bundle = os.path.abspath(path)
    name = os.path.abspath(config) if config else f"{bundle}/config.json"
    try:
        with open(name, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise errors.InvalidConfig(f"JSON specification file {name} not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise errors.InvalidConfig(f"{name} cannot be read: {error}") from None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise errors.InvalidConfig(f"{name} is no JSON: {error}") from None
    return oci_runtime.parse(document), text, bundle


def record(
    launch: Launch,
    directory: str,
    config: oci_runtime.Config,
    *,
    pid: int,
    pidfd: int,
    manager: Manager | None,
) -> Container:
    """Write down that it exists, for later commands and for who called."""
    bundle = os.path.abspath(launch.bundle)
    container = state.Container(
        id=launch.container_id,
        pid=pid,
        start_time=state.start_time(pid),
        bundle=bundle,
        rootfs=os.path.join(bundle, config.root.path if config.root else ""),
        created=clock.now(),
        cgroup=_cgroup_path(launch, config) if manager and manager.paths() else "",
        directory=directory,
        annotations=config.annotations,
    )
    state.save(container)
    if launch.pidfd_socket:
        run_files.send_pidfd(launch.pidfd_socket, pidfd)
    if launch.pid_file:
        run_files.write_pid(launch.pid_file, pid)
    return container


def _cgroup_path(launch: Launch, config: oci_runtime.Config) -> str:
    return cgroups.path_of(config, launch.container_id, systemd=launch.systemd)
