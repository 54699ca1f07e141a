"""A blocking stand-in for the engine: it speaks the wire, and keeps what it got for the test."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

from sampan.linux import unix
from sampan.shim import eligible, protocol
from sampan.spec import docker_stream

if TYPE_CHECKING:
    from sampan.kit.paths import Paths

PATIENCE = 10.0 * float(os.environ.get("SAMPAN_TEST_SLOWNESS", 1))


class Client:
    """The far end of an attached session."""

    def __init__(self, *, tty: bool = False, **wants: object) -> None:
        self.sock, self._theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        self.wants = protocol.Attach(multiplexed=not tty, **wants)
        self.received = b""

    def hand_over(self) -> int:
        return self._theirs.fileno()

    def handed_over(self) -> None:
        self._theirs.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def read_until(self, text: bytes) -> bytes:
        while text not in self.received:
            part = self.sock.recv(65536)
            assert part, f"the stream ended without {text!r}: {self.received!r}"
            self.received += part
        return self.received

    def read_all(self) -> bytes:
        """Raw bytes until the monitor closes."""
        while part := self.sock.recv(1 << 20):
            self.received += part
        self.sock.close()
        return self.received

    def read_streams(self) -> dict[int, bytes]:
        """Multiplexed output until the monitor closes, by stream."""
        streams = {1: b"", 2: b""}
        for frame in docker_stream.FrameDecoder().feed(self.read_all()):
            streams[frame.stream] += frame.payload
        return streams


class Container:
    """One start: its connection, its monitor's socket, its bundle."""

    def __init__(self, paths: Paths, container_id: str) -> None:
        self.id, self.paths = container_id, paths
        self.bundle = paths.bundle(container_id)
        self.log = f"{self.bundle}/log"
        self.connection: socket.socket | None = None
        self.started: dict = {}
        self.clients: list[Client] = []

    @property
    def pid(self) -> int:
        return self.started["pid"]

    def begin(self, clients: list[Client], fds: list[int], **request: object) -> None:
        """Send the request; nothing is answered yet."""
        attach = tuple(c.wants.replace(fd=len(fds) + n) for n, c in enumerate(clients))
        start = protocol.Start(
            id=self.id,
            bundle=self.bundle,
            run=self.paths.container_run(self.id),
            attach=attach,
            **request,
        )
        self.connection = unix.connect(self.paths.spawner_socket)
        self.connection.settimeout(PATIENCE)
        unix.send(self.connection, protocol.start(eligible.cgroup(start)))
        unix.send(
            self.connection, start.message(), [*fds, *(client.hand_over() for client in clients)]
        )
        for client in clients:
            self._handed_over(client)

    def _handed_over(self, client: Client) -> None:
        client.handed_over()
        self.clients.append(client)

    def event(self, name: str) -> dict:
        """The next event, which must be this one."""
        message, fds = unix.receive(self.connection)
        for fd in fds:
            os.close(fd)
        assert message and message.get("event") == name, message
        return message

    def wait_started(self) -> None:
        self.started = self.event("started")

    def wait_exit(self) -> dict:
        """The exit event, and after it the end of the connection and of the monitor."""
        while True:
            message, _ = unix.receive(self.connection)
            assert message, "the monitor went away without an exit"
            if message["event"] == "exit":
                break
        assert unix.receive(self.connection)[0] is None
        self.connection.close()
        return message

    def ask(self, message: dict, fds: list[int] | None = None) -> dict:
        with self.connect() as sock:
            unix.send(sock, message, fds or [])
            return unix.receive(sock)[0]

    def connect(self) -> socket.socket:
        sock = unix.connect(self.paths.monitor_socket(self.id))
        sock.settimeout(PATIENCE)
        return sock

    def attach(self, client: Client) -> None:
        answer = self.ask(protocol.attach(client.wants), [client.hand_over()])
        self._handed_over(client)
        assert answer == {"ok": True}, answer

    def exec(self, args: list[str], client: Client | None = None, **more: object) -> dict:
        process = {"args": args, "cwd": "/", "env": ["PATH=/bin"], "terminal": "tty" in more}
        request = protocol.Exec(process=process, attach=client and client.wants, **more)
        answer = self.ask(request.message(), [client.hand_over()] if client else [])
        if client:
            self._handed_over(client)
        return answer

    def clean_up(self) -> None:
        """Kill it if it still runs, and wait until its monitor has gone."""
        for client in self.clients:
            client.sock.close()
        if self.connection is not None:
            self.connection.close()
        try:
            sock = self.connect()
        except OSError:
            return
        try:
            unix.send(sock, protocol.subscribe())
            self.ask(protocol.kill(9))
            while unix.receive(sock)[0]:
                pass
        except OSError:
            pass  # its monitor was about to go
        finally:
            sock.close()

    def monitor_pid(self) -> int:
        with open(f"/proc/{self.pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])


def gone(pid: int) -> bool:
    """Wait until a process has ended (it may be anybody's child)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], PATIENCE)[0])
    finally:
        os.close(pidfd)


def eventually(condition) -> bool:
    """For what has no descriptor to wait on, such as a file being removed by somebody."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.01)
    return True


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def spawner_pid(paths: Paths) -> int:
    sock = unix.connect(paths.spawner_socket)
    unix.send(sock, protocol.hello())
    pid = unix.receive(sock)[0]["pid"]
    sock.close()
    return pid


def standing_by(paths: Paths) -> int:
    """The monitor that waits for the next start: its spawner's only child that is called so."""
    spawner = spawner_pid(paths)  # whose answer came from a child that is not called so any more
    children = f"/proc/{spawner}/task/{spawner}/children"

    def found() -> list[str]:
        return [pid for pid in read(children).split() if called(pid) == "sampan-standby"]

    assert eventually(lambda: len(read(children).split()) == len(found()) == 1), read(children)
    return int(found()[0])


def called(pid: str) -> str:
    """By its command line; nothing when it has gone."""
    try:
        return read(f"/proc/{pid}/cmdline").rstrip("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
