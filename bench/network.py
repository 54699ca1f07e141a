"""The rows about networks: names a second, and throughput beside the peers' bridges.

dns        questions for a container's name that 127.0.0.11 answers in a second, pipelined
to-host    iperf3, one TCP stream from a container to the host (its bridge's address)
between    the same from one container to another
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from peers import IMAGE, Peer, note

if TYPE_CHECKING:
    from collections.abc import Callable

_NETWORK = "bench-net"
_SECONDS = 2
_ASK = """
import socket, sys, time
question = bytes.fromhex("000001000001000000000000") + b"\\x04peer\\0\\0\\1\\0\\1"
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("127.0.0.11", 53))
sock.settimeout(1)
for _ in range(100):
    sock.send(question)
answered, end = 0, time.perf_counter() + float(sys.argv[1])
while time.perf_counter() < end:
    for _ in range(64):
        if sock.recv(512)[7] != 1:
            sys.exit("a wrong answer")
        sock.send(question)
    answered += 64
print(answered / float(sys.argv[1]))
"""


def names(peer: Peer) -> float:
    """Answers a second."""
    peer.run("network", "create", _NETWORK)
    try:
        for name in ("asker", "peer"):
            peer.run("run", "-d", "--name", name, "--network", _NETWORK, IMAGE, "sleep", "1000")
        return float(_inside(peer, "asker", sys.executable, "-c", _ASK, str(_SECONDS)))
    finally:
        _remove(peer, "asker", "peer")
        peer.run("network", "rm", _NETWORK, check=False)


def throughput(*, to_host: bool) -> Callable[[Peer], float]:
    """Gigabits a second."""

    def measure(peer: Peer) -> float:
        for name in ("client", "server"):
            peer.run("run", "-d", "--name", name, IMAGE, "sleep", "1000")
        try:
            address = _inspect(peer, "client" if to_host else "server", to_host)
            serve = ["iperf3", "-s", "-1", "-p", "5299", "--forceflush"]
            if not to_host:
                serve = ["nsenter", "-t", _pid(peer, "server"), "-n", *serve]
            server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                while b"listening" not in (server.stdout.readline() if server.stdout else b""):
                    pass
                said = _inside(
                    peer, "client", "iperf3", "-c", address, "-p", "5299", "-t", str(_SECONDS),
                    "-f", "g",
                )  # fmt: skip
            finally:
                server.kill()
                server.communicate()
            line = next(line for line in said.splitlines() if line.endswith("receiver"))
            return float(line.split()[6])
        finally:
            _remove(peer, "client", "server")

    return measure


def usable(peers: list[Peer], *, iperf: bool) -> list[Peer]:
    """Those whose containers have a network namespace we can enter, and a name server."""
    if iperf and not shutil.which("iperf3"):
        note("  iperf3 is not installed: apt install iperf3")
        return []
    return [peer for peer in peers if peer.name != "podman"]


def _inspect(peer: Peer, container: str, gateway: bool) -> str:
    field = "Gateway" if gateway else "IPAddress"
    template = "{{range .NetworkSettings.Networks}}{{." + field + "}}{{end}}"
    return peer.run("inspect", "--format", template, container).stdout.decode().strip()


def _pid(peer: Peer, container: str) -> str:
    return peer.run("inspect", "--format", "{{.State.Pid}}", container).stdout.decode().strip()


def _inside(peer: Peer, container: str, *command: str) -> str:
    enter = ["nsenter", "-t", _pid(peer, container), "-n"]
    return subprocess.check_output([*enter, *command], text=True)


def _remove(peer: Peer, *names: str) -> None:
    peer.run("rm", "-f", *names, check=False)
