"""Where other people's suites run: a network and a mount table of their own, with a hub in it.

`enter` takes this process there. Nothing leads out: no route, no name server, so that no range of
the host is in the way and what cannot be had fails at once. `hub` is a registry of ours behind the
names of Docker Hub, over TLS, with an authority that programs on the island trust. `Dockerd` is
Debian's dockerd with the face of `Engine`, so that a suite runs on either.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sampan.linux import mount, namespaces, netlink
from tests.voyage.programs import BIN, Cli, Engine, until

HUB = "registry-1.docker.io"
NAMES = (HUB, "docker.io", "index.docker.io", "auth.docker.io")
CLONE, MS = namespaces.CLONE, mount.MS


def enter() -> None:
    """For good, and for all that this process starts; it must have one thread."""
    namespaces.unshare(CLONE.NEWNET | CLONE.NEWNS)
    for kind in (MS.PRIVATE, MS.SHARED):  # away from the host's, then shared as a host's are
        mount.mount(None, "/", None, MS.REC | kind)
    with netlink.Socket() as sock:
        sock.send(netlink.set_link("lo", up=True))


@contextlib.contextmanager
def hub(top: Path) -> Iterator[None]:
    """Docker Hub's names lead to a registry below `top`. Only on the island."""
    hosts = top / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n::1 localhost\n")
    mount.mount(str(hosts), "/etc/hosts", None, MS.BIND)
    key, certificate = _certificate(top)
    os.environ["SSL_CERT_FILE"] = str(certificate)  # OpenSSL's and Go's
    process = subprocess.Popen(
        [BIN / "sampan", "registry", "serve", "--root", top / "registry",
         "--addr", "127.0.0.1:443", "--tls-cert", certificate, "--tls-key", key],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stdout.readline(), "the hub did not start"
        yield
    finally:
        process.terminate()
        process.wait()
        del os.environ["SSL_CERT_FILE"]
        subprocess.run(["umount", "/etc/hosts"], check=True)


def _certificate(top: Path) -> tuple[Path, Path]:
    key, certificate = top / "hub.key", top / "hub.pem"
    names = ",".join(f"DNS:{name}" for name in NAMES)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=hub",
         "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


class Dockerd(Engine):
    """Debian's, started and driven as an engine of ours is."""

    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return f"unix://{self.work}/docker.sock"

    def cli(self, program: str) -> Cli:
        """docker's, whatever was asked for."""
        found = super().cli("docker")
        return Cli(found.command, {**found.environment, "DOCKER_HOST": self.socket})

    def start(self) -> None:
        words = {
            "data-root": self.root, "exec-root": self.run, "pidfile": self.work / "docker.pid",
            "host": self.socket,
        }  # fmt: skip
        with open(self.work / "dockerd.log", "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", *(f"--{name}={value}" for name, value in words.items())],
                stdout=log, stderr=log,
            )  # fmt: skip
        asked = [*self.cli("docker").command, "-H", self.socket, "version"]
        until(
            lambda: subprocess.run(asked, capture_output=True, check=False).returncode == 0,
            30,
            f"dockerd did not start, see {self.work}/dockerd.log",
        )

    def destroy(self) -> None:
        cli = self.cli("docker")
        if names := cli("ps", "-aq", check=False).stdout.split():
            cli("rm", "-f", "-v", *names, check=False)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


ENGINES: dict[str, type[Engine]] = {"sampan": Engine, "dockerd": Dockerd}


def fits(name: str) -> str:
    """Why an engine cannot be run here, or nothing."""
    return "" if name == "sampan" or shutil.which(name) else f"{name} is not installed"
