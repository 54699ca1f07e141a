"""Another OCI runtime below our monitor: runc, crun, youki, runsc, driven by its command line.

    process = create(request, streams, cgroup)     # in a helper: `PROGRAM create`; it waits
    process.start()                                # in the monitor: `PROGRAM start`
    pid = execute(container, request, streams)     # in a helper: `PROGRAM exec --detach`
    call(container, "kill", "15")                  # kill, pause, resume, update
    delete(container)                              # what is left of it

The common command line is runc's; crun's and runsc's agree with it in what is used here. What the
program needs and keeps (bundle, state, log, PID files) is in `RUN/program`, so that a container
that was lost can be deleted by anybody who knows that directory.

The rootfs is mounted in a mount namespace of the helper, from which the program copies its own:
nothing appears on the host. The helper is a subreaper while the program runs: its processes become
ours, as if we had forked them, and are handed to the monitor with the helper's end.
"""

from __future__ import annotations

import json
import os
import select

from sampan.image import removal
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import namespaces, process, signals, unix
from sampan.runtime import rootfs
from sampan.shim import enter, oci_command, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.shim.protocol import Exec, Start
    from sampan.shim.stdio import Streams

_CONSOLE = "console.sock"
_OLDEST = "1.0.2"  # of the specification: what we write has no newer word; crun < 1.9 refuses 1.1


def directory(run: str) -> str:
    """Below a container's run directory, where the program's things are; there while it runs."""
    return f"{run}/program"


class Handle(Record):
    """A container as its runtime knows it. `words`: the program and its global arguments."""

    words: tuple[str, ...]
    id: str
    directory: str

    @staticmethod
    def of(request: Start) -> Handle:
        return Handle(words=request.runtime, id=request.id, directory=directory(request.run))

    def command(self, verb: str, *more: str) -> list[str]:
        """The whole command line; the container's id comes last."""
        log = ("--log", self.log, "--log-format", "json")
        return [*self.words, "--root", f"{self.directory}/state", *log, verb, *more, self.id]

    @property
    def log(self) -> str:
        """Each process that calls the program has one of its own."""
        return f"{self.directory}/log-{os.getpid()}"


def find(run: str, container_id: str) -> Handle | None:
    """Of a container that runs below another runtime, or was lost there."""
    try:
        words = json.loads(_read(f"{directory(run)}/runtime.json"))
    except (OSError, ValueError):
        return None
    return Handle(words=tuple(words), id=container_id, directory=directory(run))


class Process:
    """What `runtime.create.Created` is for a container of ours: PID 1, ready to be started."""

    def __init__(self, handle: Handle, pid: int, pidfd: int, manager: Manager) -> None:
        self.handle, self.pid, self.pidfd, self.manager = handle, pid, pidfd, manager
        self.state: dict[str, Any] = {}
        self.callers_parents = False
        self._ready = os.eventfd(1)

    def fileno(self) -> int:
        """Readable at once: `create` has waited until it was ready."""
        return self._ready

    def wait_ready(self) -> None: ...

    def start(self) -> None:
        try:
            call(self.handle, "start")
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Kill it and undo everything."""
        if self.pidfd < 0:
            return
        delete(self.handle)
        try:
            signals.send(self.pidfd, 9)
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self.pidfd)
        self.pidfd = -1
        self.manager.delete()


def create(request: Start, streams: Streams, manager: Manager) -> Process:
    """Have the program make the container; raises what it says when it cannot."""
    handle = Handle.of(request)
    delete(handle)  # what a start that was cut short left
    os.makedirs(handle.directory, mode=0o700)
    _write(f"{handle.directory}/runtime.json", list(handle.words))
    _own_mounts(request)
    process.prctl(process.PR.SET_CHILD_SUBREAPER, 1)
    document = {**request.config, "ociVersion": _OLDEST}
    _write(f"{handle.directory}/config.json", document)
    os.chdir(handle.directory)  # what is named below is relative: no name is too long
    words = ["--bundle", ".", "--pid-file", "pid"]
    try:
        oci_command.run(
            handle.command("create", *words, *_console(streams)), handle.log, streams.theirs
        )
        pid = int(_read("pid"))
        return Process(handle, pid, os.pidfd_open(pid), manager)
    except BaseException:
        delete(handle)
        raise


def execute(handle: Handle, request: Exec, streams: Streams) -> int:
    """Start another process in the container; its PID."""
    process.prctl(process.PR.SET_CHILD_SUBREAPER, 1)
    place = f"{handle.directory}/exec-{request.exec_id}"
    os.mkdir(place, 0o700)
    try:
        os.chdir(place)
        _write("process.json", request.process)
        words = ["--process", "process.json", "--detach", "--pid-file", "pid"]
        oci_command.run(
            handle.command("exec", *words, *_console(streams)), handle.log, streams.theirs
        )
        return int(_read("pid"))
    finally:
        os.chdir("/")
        removal.remove_tree(place)


def call(handle: Handle, verb: str, *after: str) -> None:
    """A verb that only answers with success or a sentence; `after` comes behind the id."""
    oci_command.run([*handle.command(verb), *after], handle.log)


def update(handle: Handle, resources: dict[str, Any]) -> None:
    """New limits: `linux.resources` as JSON has it."""
    path = f"{handle.directory}/resources-{os.getpid()}.json"
    _write(path, resources)
    try:
        oci_command.run(handle.command("update", "--resources", path), handle.log)
    finally:
        os.unlink(path)


def delete(handle: Handle) -> None:
    """Kill what runs, remove all the program and we keep of it; nothing there is fine."""
    if not os.path.isdir(handle.directory):
        return
    try:
        oci_command.run(handle.command("delete", "--force"), handle.log)
    except (errors.SampanError, OSError):
        pass  # it never knew the container, or is gone itself; the cgroup is removed all the same
    try:
        removal.remove_tree(handle.directory)
    except OSError:
        pass  # a helper is still at work there; it goes with the container


def is_alive(pidfd: int) -> bool:
    return not select.select([pidfd], [], [], 0)[0]


# ---- what the program is given


def _own_mounts(request: Start) -> None:
    namespaces.unshare(namespaces.CLONE.NEWNS)
    rootfs.keep_from_host(request.root_path)
    enter.mount_rootfs(request.rootfs, request.root_path)


def _console(streams: Streams) -> list[str]:
    """The program connects to a socket and sends the pty's master there."""
    if streams.console_socket is None:
        return []
    streams.listen(unix.bind(_CONSOLE))
    return ["--console-socket", _CONSOLE]


def _write(path: str, document: object) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def answer(connection: socket.socket, handle: Handle, pidfd: int, verb: str, argument: Any) -> None:
    """In a helper: `call` or `update` for whoever is connected."""
    try:
        if verb == "update":
            update(handle, argument)
        else:
            call(handle, verb, *argument)
        said = protocol.ok()
    except (errors.SampanError, OSError) as failure:
        gone = None if is_alive(pidfd) else errors.Unavailable("the container has just ended")
        said = protocol.error(gone or failure)
    unix.send(connection, said)
