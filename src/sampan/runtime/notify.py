"""sd_notify(3) from inside a container reaches the caller's $NOTIFY_SOCKET.

Inside, $NOTIFY_SOCKET names a socket of ours. Only that the service is ready ("READY=1") is handed
on, with the process id that counts on the host: MAINPID. Imported only for callers who have one.
"""

from __future__ import annotations

import _socket
import os
import select

from sampan.runtime import errors, trace
from sampan.spec import oci_runtime

_DIRECTORY, _NAME = "notify", "notify.sock"
_INSIDE = "/run/notify"
_BARRIER_MS = 30_000


def show(config: oci_runtime.Config, directory: str) -> oci_runtime.Config:
    """The container with a place for its socket, below its state's directory."""
    source = f"{directory}/{_DIRECTORY}"
    os.mkdir(source, 0o755)
    place = oci_runtime.Mount(
        destination=_INSIDE,
        source=source,
        options=("bind", "nosuid", "noexec", "nodev", "ro"),
    )
    process = config.process or oci_runtime.Process()
    process = process.replace(env=(*process.env, f"NOTIFY_SOCKET={_INSIDE}/{_NAME}"))
    return config.replace(mounts=(*config.mounts, place), process=process)


def relay(directory: str) -> Relay | None:
    """To be opened before the command runs; None for a container that was made without `show`."""
    try:
        fd = os.open(f"{directory}/{_DIRECTORY}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return Relay(f"/proc/self/fd/{fd}/{_NAME}")
    finally:
        os.close(fd)


def remove(directory: str) -> None:
    for remove_, path in ((os.unlink, f"{_DIRECTORY}/{_NAME}"), (os.rmdir, _DIRECTORY)):
        try:
            remove_(f"{directory}/{path}")
        except FileNotFoundError:
            pass


class Relay:
    def __init__(self, path: str) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o777)  # whoever the service's user is

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait(self, pid: int) -> None:
        """Until the container of this first process is ready or has ended."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        poll = select.poll()
        poll.register(self, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        done = False
        while not done:
            found = [fd for fd, _ in poll.poll()]
            ready = self.fileno() in found and self.serve(pid)
            done = ready or pidfd in found
        os.close(pidfd)

    def serve(self, main_pid: int) -> bool:
        """Take one message: whether it was the one that counts."""
        lines = self._socket.recv(4096).split(b"\n")
        ready = [line for line in lines if line.startswith(b"READY=")]
        if not ready:
            return False
        try:
            _tell(ready[0] + b"\nMAINPID=%d\n" % main_pid)
        except OSError as error:
            host = os.environ["NOTIFY_SOCKET"]
            trace.warn(f"NOTIFY_SOCKET {host} was not told: {errors.reason(error)}")
        return True


def _tell(message: bytes) -> None:
    """And wait until it was read: sd_notify_barrier(3)."""
    address = os.environ["NOTIFY_SOCKET"]
    host = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    host.connect("\0" + address[1:] if address.startswith("@") else address)
    host.send(message)
    read, write = os.pipe()
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, write.to_bytes(4, "little"))
    host.sendmsg([b"BARRIER=1"], [rights])
    os.close(write)
    poll = select.poll()
    poll.register(read, 0)  # its end is always told
    if not poll.poll(_BARRIER_MS):
        trace.warn(f"NOTIFY_SOCKET {address}: nobody took the barrier for 30 s")
    os.close(read)
    host.close()
