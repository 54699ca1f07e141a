"""`exec` of the program: a process in a container of the state directory, with its socket files."""

from __future__ import annotations

from sampan.kit.record import Record
from sampan.runtime import exec as exec_verb
from sampan.runtime import foreground, run_files, trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.state import Container
    from sampan.spec import oci_runtime


class Wanted(Record):
    """What the flags of `exec` ask for."""

    process: oci_runtime.Process
    cgroups: tuple[str, ...] = ()
    console_socket: str = ""
    pidfd_socket: str = ""
    pid_file: str = ""
    preserve_fds: int = 0
    detach: bool = False


def run(container: Container, wanted: Wanted) -> int:
    """Its exit code, or 0 at once with `detach`."""
    process, sockets = run_files.listen_fds(wanted.process)
    run_files.check_console(process, wanted.console_socket, detached=wanted.detach)
    terminal = foreground.Terminal.needed(process, wanted.console_socket)
    target = _target(container, wanted.cgroups)
    created = exec_verb.exec_process(
        target,
        process,
        console=terminal.sender if terminal else foreground.console(wanted.console_socket),
        preserve_fds=sockets + wanted.preserve_fds,
    )
    trace.say("nsexec container setup: the process has joined the container's namespaces")
    created.wait_ready()
    trace.say("child process in init(): it is the process's user, in its working directory")
    try:
        if wanted.pidfd_socket:
            run_files.send_pidfd(wanted.pidfd_socket, created.pidfd)
        if wanted.pid_file:
            run_files.write_pid(wanted.pid_file, created.pid)
    except BaseException:
        created.abort()
        raise
    if terminal:
        terminal.receive()
    foreground.catch_signals(detached=wanted.detach)
    trace.say("setns_init: about to exec")
    created.start()
    return 0 if wanted.detach else foreground.wait(created.pid, created.pidfd, terminal)


def _target(container: Container, cgroups: tuple[str, ...]) -> exec_verb.Target:
    config = container.config
    return exec_verb.Target(
        pid=container.pid,
        manager=container.manager,
        cgroups=cgroups,
        seccomp=config.linux.seccomp,
        linux=config.linux,
        state={
            "ociVersion": config.oci_version,
            "id": container.id,
            "status": "running",
            "pid": container.pid,
            "bundle": container.bundle,
            **({"annotations": container.annotations} if container.annotations else {}),
        },
    )
