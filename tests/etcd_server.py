"""A real etcd for tests, where Debian's etcd-server is installed.

with etcd_server.running() as url: ...
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

PROGRAM = shutil.which("etcd")
PATIENCE = 30.0
needed = pytest.mark.skipif(not PROGRAM, reason="etcd is not installed (apt install etcd-server)")


@contextlib.contextmanager
def running(
    host: str = "127.0.0.1", below: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> Iterator[str]:
    """An empty one; its URL. `below`: a command that runs it; `options`: TLS, for example."""
    kind = "https" if options else "http"
    url = f"{kind}://{host}:{_free_port()}"
    peer = f"http://{host}:{_free_port()}"
    words = ["--listen-client-urls", url, "--advertise-client-urls", url]
    words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    words += ["--initial-cluster", f"default={peer}", *options]
    with tempfile.TemporaryDirectory(prefix="etcd-") as top, open(f"{top}/log", "w+") as log:
        command = [*below, PROGRAM or "etcd", *words, "--data-dir", f"{top}/data"]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(server, f"{top}/log")
            yield url
        finally:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], log: str) -> None:
    """It says so itself, wherever it listens."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with open(log) as file:
            if "ready to serve client requests" in file.read():
                return
        time.sleep(0.01)
    with open(log) as file:
        raise AssertionError(f"etcd did not start: {file.read()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
