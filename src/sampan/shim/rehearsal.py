"""What the spawner does before it freezes: a monitor's whole life, in memory, a few times.

CPython fills caches in code objects, types and dictionaries as it executes (PEP 659). Filled here,
they are shared; filled in each monitor, every page with such a cache would be copied: this saves a
third of a monitor's own memory, and some of a start's time.
"""

from __future__ import annotations

import os
import socket

from sampan.linux import unix
from sampan.runtime import plan as plans
from sampan.shim import direct, parsing, protocol, ready, stdio
from sampan.shim import loop as loops
from sampan.shim.logs.json_file import JsonFile
from sampan.shim.session import Session
from sampan.shim.subscribers import Subscribers
from sampan.spec import oci_runtime

_TIMES = 20  # PEP 659 wants eight calls
_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")
_CONFIG = {  # with some of all that an engine's container has
    "ociVersion": "1.2.0",
    "process": {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": {name: ["CAP_KILL"] for name in _SETS},
    },
    "root": {"path": "/"},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        {"destination": "/etc/hosts", "source": "/", "options": ["rbind", "rprivate"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
    },
}


def rehearse() -> None:
    for _ in range(_TIMES):
        _play()


def _play() -> None:
    engine, connection = socket.socketpair()
    client, clients_end = socket.socketpair()
    request = _request(engine, connection, clients_end)
    direct.rehearse()  # remembers what the host has
    loop = loops.Loop()
    subscribers = Subscribers(loop)
    subscribers.add(connection, protocol.started(1, ""))
    streams = stdio.Streams(tty=False, stdin=True)
    plans.make(oci_runtime.parse(request.config), ready.options(request, streams))
    log = JsonFile(request.log)
    session = Session(loop, log=log, stdin_once=True)
    assert streams.theirs is not None
    process = [os.dup(fd) for fd in streams.theirs]
    streams.forked()
    session.use(streams)
    session.attach(request.attach[0])
    client.send(b"stdin\n")
    client.shutdown(socket.SHUT_WR)
    for fd in process[1:]:
        os.write(fd, b"one\ntwo\n")
    subscribers.announce(protocol.detach())
    loop.call_later(0, lambda: session.drain(loop.stop))
    for fd in process:
        os.close(fd)
    loop.run()
    loop.close()
    log.close()
    subscribers.close()
    engine.close()
    client.close()


def _request(
    engine: socket.socket, connection: socket.socket, clients_end: socket.socket
) -> protocol.Start:
    start = protocol.Start(
        id="rehearsal",
        bundle="/",
        run="/",
        config=_CONFIG,
        log=protocol.Log(driver="json-file", path="/dev/null"),
        attach=(protocol.Attach(fd=0, stdin=True, stdout=True, stderr=True),),
    )
    unix.send(engine, start.message(), [clients_end.fileno()])
    clients_end.close()
    message, fds = unix.receive(connection)
    request = parsing.start(message, fds)
    assert isinstance(request, protocol.Start)
    return request
