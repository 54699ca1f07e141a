"""`create` and `run` of the program: from a bundle on disk to a container with a state."""

from __future__ import annotations

import os

from sampan.kit import clock, json
from sampan.kit.record import Record
from sampan.runtime import cgroups, create, delete, errors, foreground, start, state
from sampan.runtime import channel as channels
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.state import Container


class Launch(Record):
    """What the flags of `create` and `run` ask for."""

    root: str
    container_id: str
    bundle: str = "."
    console_socket: str = ""
    pid_file: str = ""
    no_pivot: bool = False
    no_new_keyring: bool = False
    preserve_fds: int = 0
    detach: bool = False
    keep: bool = False


def create_container(launch: Launch) -> None:
    """`create`: prepared up to its command, which `start` releases; the caller may go."""
    config, text, bundle = read_bundle(launch.bundle)
    check_console(config.process, launch.console_socket, detached=True)
    directory = state.reserve(launch.root, launch.container_id)
    try:
        parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        gate = channels.listen(f"/proc/self/fd/{parent}/start.sock")
        os.close(parent)
        console = foreground.console(launch.console_socket)
        created = create.create(config, _options(launch, bundle, gate=gate, console=console))
        created.wait_ready()
        try:
            _record(launch, directory, created, config, text, bundle)
        except BaseException:
            created.abort()
            raise
    except BaseException:
        state.remove(directory)
        raise


def run_container(launch: Launch) -> int:
    """`run`: its exit code, or 0 at once with `detach`."""
    config, text, bundle = read_bundle(launch.bundle)
    check_console(config.process, launch.console_socket, detached=launch.detach)
    directory = state.reserve(launch.root, launch.container_id)
    container = None
    try:
        terminal = foreground.Terminal.needed(config.process, launch.console_socket)
        console = terminal.sender if terminal else foreground.console(launch.console_socket)
        created = create.create(config, _options(launch, bundle, console=console))
        created.wait_ready()
        try:
            container = _record(launch, directory, created, config, text, bundle)
        except BaseException:
            created.abort()
            raise
        if terminal:
            terminal.receive()
        foreground.catch_signals(detached=launch.detach)
        created.start()
        start.poststart(container)
        if launch.detach:
            return 0
        code = foreground.wait(created.pid, created.pidfd, terminal)
    except BaseException:
        if container:
            delete.delete(container, force=True)
        else:
            state.remove(directory)
        raise
    if not launch.keep:
        delete.delete(container, force=True)
    return code


def read_bundle(path: str) -> tuple[oci_runtime.Config, str, str]:
    """(config, its text, the bundle's absolute path)"""
    bundle = os.path.abspath(path)
    try:
        with open(f"{bundle}/config.json", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        raise errors.InvalidConfig(
            f"JSON specification file {bundle}/config.json not found"
        ) from None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise errors.InvalidConfig(f"{bundle}/config.json is no JSON: {error}") from None
    return oci_runtime.parse(document), text, bundle


def check_console(process: oci_runtime.Process | None, path: str, *, detached: bool) -> None:
    """A console socket is for a terminal that nobody here will serve, and for nothing else."""
    terminal = process is not None and process.terminal
    if detached and terminal and not path:
        raise errors.InvalidConfig("cannot allocate tty if detached without setting console socket")
    if path and not (detached and terminal):
        raise errors.InvalidConfig(
            "cannot use console socket if the container will not detach or allocate a tty"
        )


def _options(launch: Launch, bundle: str, *, gate: int = -1, console: object) -> create.Options:
    return create.Options(
        container_id=launch.container_id,
        bundle=bundle,
        console=console,
        preserve_fds=launch.preserve_fds,
        gate=gate,
        no_pivot=launch.no_pivot,
        new_keyring=not launch.no_new_keyring,
    )


def _record(
    launch: Launch,
    directory: str,
    created: create.Created,
    config: oci_runtime.Config,
    text: str,
    bundle: str,
) -> Container:
    with open(f"{directory}/config.json", "w", encoding="utf-8") as file:
        file.write(text)
    container = state.Container(
        id=launch.container_id,
        pid=created.pid,
        start_time=state.start_time(created.pid),
        bundle=bundle,
        rootfs=os.path.join(bundle, config.root.path if config.root else ""),
        created=clock.now(),
        cgroup=cgroups.path_of(config, launch.container_id) if _has_cgroup(created) else "",
        directory=directory,
        annotations=config.annotations,
    )
    state.save(container)
    if launch.pid_file:
        write_pid(launch.pid_file, created.pid)
    return container


def _has_cgroup(created: create.Created) -> bool:
    return bool(created.manager and created.manager.paths())


def write_pid(path: str, pid: int) -> None:
    """Atomically; decimal, no newline."""
    head, name = os.path.split(path)
    temporary = os.path.join(head, f".{name}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    os.write(fd, str(pid).encode())
    os.close(fd)
    os.rename(temporary, path)
