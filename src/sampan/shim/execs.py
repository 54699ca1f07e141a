"""Further processes in a running container: docker exec.

A start is done in one go, a few milliseconds during which the container's output waits in its
pipes. Output goes to the one client (or nowhere), never to the log.
"""

from __future__ import annotations

import select

from sampan.kit import errors
from sampan.runtime import exec as runtime_exec
from sampan.shim import protocol, stdio
from sampan.shim.session import Session
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.runtime.create import Created
    from sampan.shim import loop as loops
    from sampan.shim.protocol import Exec, Message

_PATIENCE = 10_000  # milliseconds; a container that was paused meanwhile would block us for ever


class ExecNotFound(errors.NotFound): ...


class Execs:
    """`announce(message, remember=True)` gets detach and exec_exit."""

    def __init__(
        self,
        loop: loops.Loop,
        target: runtime_exec.Target,
        announce: Callable[..., None],
    ) -> None:
        self._loop, self._target, self._announce = loop, target, announce
        self._running: dict[str, tuple[Created, Session]] = {}

    def pids(self) -> dict[str, int]:
        return {exec_id: process.pid for exec_id, (process, _) in self._running.items()}

    def start(self, request: Exec) -> int:
        """Its PID; raises what `runtime.exec` does, and then nothing is left of it."""
        if request.exec_id in self._running:
            raise errors.AlreadyExists(f"exec {request.exec_id} runs already")
        wants = request.attach
        streams = stdio.Streams(
            tty=request.tty, stdin=request.stdin, output=bool(wants and wants.fd >= 0)
        )
        try:
            process = self._process(request, streams)
        except BaseException:
            streams.close()
            raise
        session = Session(
            self._loop,
            stdin_once=True,
            on_detach=lambda: self._announce(protocol.detach(request.exec_id)),
        )
        session.use(streams)
        self._running[request.exec_id] = (process, session)
        if wants:
            session.attach(wants)
        return process.pid

    def resize(self, exec_id: str, rows: int, columns: int) -> bool:
        found = self._running.get(exec_id)
        if found is None:
            raise ExecNotFound(f"no exec {exec_id} runs in this container")
        return found[1].resize(rows, columns)

    def reaped(self, pid: int, exit_code: int) -> None:
        """A child of ours ended; if it was an exec, deliver its rest and say so."""
        for exec_id, (process, session) in list(self._running.items()):
            if process.pid == pid:
                del self._running[exec_id]
                process.close()
                message: Message = protocol.exec_exit(exec_id, exit_code)
                self._announce(message, remember=True)
                session.drain(lambda: None)

    def _process(self, request: Exec, streams: stdio.Streams) -> Created:
        process = runtime_exec.exec_process(
            self._target,
            oci_runtime.Process.parse(request.process),
            stdio=streams.theirs,
            console=streams.console_socket,
        )
        try:
            streams.forked()
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if not poll.poll(_PATIENCE):
                raise errors.Unavailable("the process did not start within 10 s; is it paused?")
            process.wait_ready()
            streams.ready(request.size)
            process.start()
        except BaseException:
            process.abort()
            raise
        return process
