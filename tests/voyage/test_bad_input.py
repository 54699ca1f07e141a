"""Bad input answers with one clear sentence and the exit code Docker's users know."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import IMAGE
from .programs import BIN, Cli, Engine


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["-p", "80:x", IMAGE, "true"], 125, "x"),
        (["-p", "99999:80", IMAGE, "true"], 125, "99999"),
        (["-v", "a:b:c:d", IMAGE, "true"], 125, "a:b:c:d"),
        (["-v", "name:relative", IMAGE, "true"], 125, "relative"),
        (["-m", "much", IMAGE, "true"], 125, "much"),
        (["-m", "1m", IMAGE, "true"], 125, "6MB"),
        (["--cpus", "1000", IMAGE, "true"], 125, "CPUs"),
        (["--name", "bad name", IMAGE, "true"], 125, "bad name"),
        (
            ["--mount", "type=bind,source=/no/such/dir,target=/x", IMAGE, "true"],
            125,
            "/no/such/dir",
        ),
        (["--mount", "type=odd,target=/x", IMAGE, "true"], 125, "odd"),
        (["--cap-add", "FLY", IMAGE, "true"], 125, "FLY"),
        (["--ulimit", "nofile", IMAGE, "true"], 125, "nofile"),
        (["--network", "no-such-network", IMAGE, "true"], 125, "no-such-network"),
        (["--mac-address", "02:zz", IMAGE, "true"], 125, "02:zz"),
        (["--ip", "10.0.0.1", IMAGE, "true"], 125, "user defined networks only"),
        (["--restart", "sometimes", IMAGE, "true"], 125, "sometimes"),
        (["-u", "nobody-here", IMAGE, "true"], 125, "nobody-here"),
        # 127: the sentence ends in "no such file or directory", which the docker CLI goes by
        (["--device", "/dev/no-such-device", IMAGE, "true"], 127, "/dev/no-such-device"),
        (["Upper/Case"], 125, "must be lowercase"),
        (["--pull", "never", "voyage/unknown"], 125, "voyage/unknown"),
        (["--no-such-flag", IMAGE, "true"], 125, "no-such-flag"),
    ],
)
def test_run_refuses(cli: Cli, arguments: list[str], code: int, text: str) -> None:
    done = cli.run(*arguments, check=False)
    assert done.returncode == code
    assert text in done.stderr and "Traceback" not in done.stderr
    # The docker CLI adds a hint to its sentence; ours may, too.
    assert len(done.stderr.strip().splitlines()) <= 5


def test_name_taken(cli: Cli) -> None:
    first = cli("create", "--label", "voyage=1", "--name", "taken", IMAGE, "true").stdout.strip()
    again = cli.run("--name", "taken", IMAGE, "true", check=False)
    assert again.returncode == 125
    assert (
        f'Conflict. The container name "/taken" is already in use by container "{first}"'
        in again.stderr
    )


def test_port_taken_by_a_container_and_by_a_program(cli: Cli) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        done = cli.run("-d", "-p", f"{port}:80", IMAGE, "sleep", "9", check=False)
    assert done.returncode == 125
    assert str(port) in done.stderr
    cli.run("-d", "-p", f"{port}:80", IMAGE, "sleep", "100")
    second = cli.run("-d", "-p", f"{port}:80", IMAGE, "sleep", "100", check=False)
    assert second.returncode == 125
    assert f"{port} failed: port is already allocated" in second.stderr


def test_unknown_container(cli: Cli) -> None:
    for verb in ("start", "stop", "kill", "logs", "rm", "inspect", "exec"):
        done = cli(verb, "ghost", *(["true"] if verb == "exec" else []), check=False)
        assert done.returncode == 1
        assert "ghost" in done.stderr and "o such" in done.stderr


def test_missing_image_command(cli: Cli) -> None:
    done = cli.run(IMAGE, check=False)  # the imported image has no command
    assert done.returncode == 125 and "o command specified" in done.stderr


def test_registry_down(cli: Cli) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    done = cli("pull", f"127.0.0.1:{port}/some/image", check=False)
    assert done.returncode == 1 and "connection refused" in done.stderr.lower()


class Registry(http.server.BaseHTTPRequestHandler):
    """A registry that lies: what it serves is in `blobs`, under the names it claims."""

    blobs: dict[str, bytes] = {}
    manifest = b""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        body, kind = b"{}", "application/json"
        if "/manifests/" in self.path:
            body, kind = self.manifest, "application/vnd.oci.image.manifest.v1+json"
        elif "/blobs/" in self.path:
            body = self.blobs[self.path.rpartition("/")[2]]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", digest(body))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def liar() -> Iterator[tuple[int, type[Registry]]]:
    handler = type("Liar", (Registry,), {"blobs": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], handler
    server.shutdown()
    thread.join()
    server.server_close()


def offer(handler: type[Registry], layer: bytes, claimed: str | None = None) -> None:
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    ).encode()
    layer_digest = claimed or digest(layer)
    handler.blobs |= {digest(config): config, layer_digest: layer}
    handler.manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", digest(config), config),
            "layers": [descriptor("layer.v1.tar", layer_digest, layer)],
        }
    ).encode()


def descriptor(kind: str, claimed: str, data: bytes) -> dict[str, object]:
    media_type = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media_type, "digest": claimed, "size": len(data)}


def tar(*members: tuple[str, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info, io.BytesIO(b""))
    return out.getvalue()


def test_wrong_digest_from_the_registry(cli: Cli, liar: tuple[int, type[Registry]]) -> None:
    port, handler = liar
    offer(handler, tar(("file", tarfile.REGTYPE, "")), claimed=digest(b"something else"))
    name = f"127.0.0.1:{port}/lying/image"
    done = cli("pull", name, check=False)
    assert done.returncode == 1
    assert digest(b"something else")[:19] in done.stderr + done.stdout
    assert cli("image", "inspect", name, check=False).returncode == 1


@pytest.mark.parametrize(
    "members",
    [
        [("../escaped", tarfile.REGTYPE, "")],
        [("a/../../escaped", tarfile.REGTYPE, "")],
        [("trap", tarfile.SYMTYPE, "/var/tmp"), ("trap/escaped", tarfile.REGTYPE, "")],
        [("hard", tarfile.LNKTYPE, "../../../../../../etc/passwd")],
    ],
)
def test_layer_with_a_trap(
    sampan: Cli, liar: tuple[int, type[Registry]], members: list[tuple[str, bytes, str]]
) -> None:
    port, handler = liar
    offer(handler, tar(*members))
    name = f"127.0.0.1:{port}/trap/image"
    done = sampan("pull", name, check=False)
    assert not os.path.lexists("/var/tmp/escaped")
    assert done.returncode == 1 and members[-1][0] in done.stderr
    assert sampan("image", "inspect", name, check=False).returncode == 1


def test_tls_refused(sampan: Cli) -> None:
    """Something that is no TLS server, at a name that is no loopback address."""
    done = sampan("pull", "registry.invalid/some/image", check=False)
    assert done.returncode == 1 and "registry.invalid" in done.stderr


def test_not_root(scratch: Path) -> None:
    scratch.chmod(0o755)
    done = subprocess.run(
        [str(BIN / "sampan"), "--root", f"{scratch}/root", "--run", f"{scratch}/run", "ps"],
        user=65534,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "root" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_disk_full_during_pull_leaves_a_working_engine(
    scratch: Path, busybox: Path, liar: tuple[int, type[Registry]]
) -> None:
    """A small file system as the state's home; the pull fails in a sentence, the rest goes on."""
    port, handler = liar
    image = scratch / "disk"
    with open(image, "wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(image)], check=True)
    home = scratch / "home"
    home.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(home)], check=True)
    small = Engine(home)
    try:
        small.start()
        offer(handler, os.urandom(40 << 20))
        done = small.cli("sampan")("pull", f"127.0.0.1:{port}/too/large", check=False)
        assert done.returncode == 1 and "no space left on device" in done.stderr.lower()
        assert small.cli("sampan")("images", "-q").stdout == ""
        small.cli("sampan")("import", str(busybox), IMAGE)
        assert small.cli("sampan").run("--rm", IMAGE, "echo", "fine").stdout == "fine\n"
    finally:
        small.destroy()
        subprocess.run(["umount", str(home)], check=True)
