"""A whole engine for a test: `sampand` in directories of its own, an image, and a raw HTTP client.

    with Engine() as engine:
        status, body = engine.request("POST", "/containers/create?name=web", {"Image": "busybox"})

Everything it made is gone afterwards: containers, spawner, bridge, nft table, cgroup, directories.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from sampan.engine.pages.client import Pages
from sampan.kit.paths import Paths
from sampan.linux import mount, netlink, unix
from sampan.linux.nft import Nft
from sampan.network.firewall import Firewall
from sampan.registry import hosts
from sampan.shim import spawn
from tests import busybox_image

if TYPE_CHECKING:
    import socket

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")
PATIENCE = 20.0 * float(os.environ.get("SAMPAN_TEST_SLOWNESS", 1))  # seconds; a VM is slow


class Engine:
    def __init__(self, *options: str, below: tuple[str, ...] = (), image: bool = True) -> None:
        """`options`: further words of `sampand`'s command line; `below`: a command that runs it;
        `image`: whether it has busybox."""
        self.options, self.below, self.image = options, below, image
        # Not pytest's tmp_path: overlay's options and unix sockets want short names.
        self.top = tempfile.mkdtemp(prefix="containers-", dir="/tmp")
        self.paths = Paths(root=f"{self.top}/root", run=f"{self.top}/run")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def docker_host(self) -> str:
        return f"unix://{self.paths.api_socket}"

    def __enter__(self) -> Engine:
        try:
            self.start()
            if self.image:
                busybox_image.add(self.paths)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            for container in self.request("GET", "/containers/json?all=1")[1]:
                self.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            self.stop()
        spawn.retire(self.paths)
        Pages(self.paths, hosts.Config()).stop()
        asyncio.run(Firewall(self.paths.nft_table, Nft()).teardown())
        with netlink.Socket() as sock, contextlib.suppress(OSError):
            sock.send(netlink.del_link(self.paths.bridge))
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            if self.paths.cgroup_parent[1:] in names:
                names.remove(self.paths.cgroup_parent[1:])
                os.rmdir(directory + self.paths.cgroup_parent)
        self._detach()
        shutil.rmtree(self.top)

    def _detach(self) -> None:
        """Layers that older kernels want attached stay so for containers, as long as nobody says
        `system shutdown`."""
        with open("/proc/self/mountinfo") as file:
            places = [line.split()[4] for line in file]
        for place in reversed(places):
            if place.startswith(f"{self.top}/"):
                mount.umount(place, mount.MNT.DETACH)

    def start(self) -> None:
        """`sampand --foreground`; returns when it answers."""
        with open(f"{self.top}/sampand.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.below, sys.executable, "-c", "from sampan.cli.sampand import main; main()",
                 "--root", self.paths.root, "--run", self.paths.run, "--foreground", *self.options],
                env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                assert self.request("GET", "/_ping")[0] == 200
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"the engine did not start:\n{self.log()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def log(self) -> str:
        with open(f"{self.top}/sampand.log", errors="replace") as file:
            return file.read()

    # ---- HTTP, as raw as it can be

    def connect(self) -> socket.socket:
        sock = unix.connect(self.paths.api_socket)
        sock.settimeout(PATIENCE)
        return sock

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """(status, decoded JSON or the bytes)."""
        with self.connect() as sock:
            sock.sendall(head(method, path, body, {"Connection": "close", **(headers or {})}))
            received = read_to_end(sock)
        return parse(received)

    def create(self, *command: str, name: str = "", **config: Any) -> str:
        """A container of busybox that exists; its id."""
        body = {"Image": "busybox", "Cmd": list(command), **config}
        body.setdefault("HostConfig", {}).setdefault("NetworkMode", "none")
        status, answer = self.request("POST", f"/containers/create?name={name}", body)
        assert status == 201, answer
        found: str = answer["Id"]
        return found

    def run(self, *command: str, **config: Any) -> str:
        """The same, started."""
        container = self.create(*command, **config)
        status, answer = self.request("POST", f"/containers/{container}/start")
        assert status == 204, answer
        return container

    def wait(self, container: str) -> int:
        code: int = self.request("POST", f"/containers/{container}/wait")[1]["StatusCode"]
        return code

    def inspect(self, container: str) -> dict[str, Any]:
        status, answer = self.request("GET", f"/containers/{container}/json")
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def hijack(self, path: str, body: Any = None) -> tuple[socket.socket, bytes, bytes]:
        """POST with an upgrade: the connection, the answer's head, what came behind it."""
        sock = self.connect()
        sock.sendall(head("POST", path, body, {"Connection": "Upgrade", "Upgrade": "tcp"}))
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = sock.recv(4096)
            assert chunk, received
            received += chunk
        answer, _, rest = received.partition(b"\r\n\r\n")
        return sock, answer, rest


def head(method: str, path: str, body: Any, headers: dict[str, str]) -> bytes:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: sampan"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


def read_to_end(sock: socket.socket) -> bytes:
    received = b""
    while chunk := sock.recv(1 << 16):
        received += chunk
    return received


def parse(received: bytes) -> tuple[int, Any]:
    top, _, body = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in top.lower():
        body = unchunk(body)
    status = int(top.split(b" ", 2)[1])
    if b"application/json" in top:
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body  # several objects: a stream
    return status, body


def unchunk(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)
