"""The rows about networks: names a second, and throughput beside the peers' bridges.

dns        questions for a container's name that 127.0.0.11 answers in a second, pipelined
to-host    iperf3, one TCP stream from a container to the host (its bridge's address)
between    the same from one container to another
thrift     of both, gigabits for a second of processor time
latency    of both, one byte there and back over TCP
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from peers import IMAGE, Peer, note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NETWORK = "bench-net"
_SECONDS = 2
_PORT = "5299"
T = TypeVar("T")
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
_ECHO = f"""
import socket
with socket.create_server(("", {_PORT})) as server:
    print("listening", flush=True)
    there, _ = server.accept()
    there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := there.recv(1):
        there.sendall(data)
"""
_PING = f"""
import socket, statistics, sys, time
sock = socket.create_connection((sys.argv[1], {_PORT}))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
taken = []
for _ in range(4000):
    start = time.perf_counter()
    sock.sendall(b"x")
    sock.recv(1)
    taken.append(time.perf_counter() - start)
print(statistics.median(taken) * 1e6)
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
    return lambda peer: _iperf(peer, to_host)["sum_received"]["bits_per_second"] / 1e9


def thrift(*, to_host: bool) -> Callable[[Peer], float]:
    """Gigabits for a second of processor time of both ends, which a busy machine leaves alone."""

    def measure(peer: Peer) -> float:
        end = _iperf(peer, to_host)
        used = end["cpu_utilization_percent"]
        cores = (used["host_total"] + used["remote_total"]) / 100
        return float(end["sum_received"]["bits_per_second"] / 1e9 / cores)

    return measure


def round_trip(*, to_host: bool) -> Callable[[Peer], float]:
    """Microseconds of one byte there and back, the median of some thousands."""

    def measure(peer: Peer) -> float:
        def ask(address: str, server: list[str]) -> float:
            with _served([*server, sys.executable, "-c", _ECHO]):
                return float(_inside(peer, "client", sys.executable, "-c", _PING, address))

        return _between(peer, to_host, ask)

    return measure


def _iperf(peer: Peer, to_host: bool) -> dict[str, Any]:
    def ask(address: str, server: list[str]) -> dict[str, Any]:
        with _served([*server, "iperf3", "-s", "-1", "-p", _PORT, "--forceflush"]):
            words = ["iperf3", "-J", "-c", address, "-p", _PORT, "-t", str(_SECONDS)]
            found: dict[str, Any] = json.loads(_inside(peer, "client", *words))["end"]
            return found

    return _between(peer, to_host, ask)


def _between(peer: Peer, to_host: bool, ask: Callable[[str, list[str]], T]) -> T:
    """`ask(address, command that enters where it is)`, from the container "client"."""
    for name in ("client", "server"):
        peer.run("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    try:
        address = _inspect(peer, "client" if to_host else "server", to_host)
        server = [] if to_host else ["nsenter", "-t", _pid(peer, "server"), "-n"]
        return ask(address, server)
    finally:
        _remove(peer, "client", "server")


@contextlib.contextmanager
def _served(command: list[str]) -> Iterator[None]:
    """While it runs, from when it says that it listens."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        while b"listening" not in (server.stdout.readline() if server.stdout else b""):
            if server.poll() is not None:
                raise RuntimeError(f"{' '.join(command)} does not listen")
        yield
    finally:
        server.kill()
        server.communicate()


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
