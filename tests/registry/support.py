"""What the tests of this room share: a loop, images to push, servers to ask."""

import asyncio
import contextlib
import functools
import gzip
import hashlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

from sampan.registry.client import Client
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image, reference


def in_loop(test):
    """Run a coroutine as a test, in a loop of its own."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


def add_image(store: MemoryStore, *layers: bytes, architecture: str = "") -> str:
    """An image of these (uncompressed) layers in the store; returns its manifest's digest."""
    described, diff_ids = [], []
    for layer in layers:
        packed = gzip.compress(layer, 1, mtime=0)
        store.add(packed)
        described.append(oci_image.descriptor(oci_image.LAYER_GZIP, packed))
        diff_ids.append(oci_image.digest_of(layer))
    config = oci_image.encode(
        {
            "architecture": architecture or oci_image.host_platform().architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    store.add(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci_image.MANIFEST,
        "config": oci_image.descriptor(oci_image.CONFIG, config),
        "layers": described,
    }
    return store.add(oci_image.encode(manifest))


def add_index(store: MemoryStore, *architectures: str) -> str:
    entries = []
    for architecture in architectures:
        digest = add_image(store, f"for {architecture}".encode(), architecture=architecture)
        entries.append(
            {
                "mediaType": oci_image.MANIFEST,
                "digest": digest,
                "size": store.size(digest),
                "platform": {"os": "linux", "architecture": architecture},
            }
        )
    index = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": entries}
    return store.add(oci_image.encode(index))


def manifest_of(store: MemoryStore, digest: str) -> dict:
    return json.loads(store.blobs[digest])


def image(*layers: bytes) -> tuple[MemoryStore, str, list[str]]:
    """A store with an image of these layers, its digest, and theirs."""
    store = MemoryStore()
    digest = add_image(store, *layers)
    return store, digest, [layer["digest"] for layer in manifest_of(store, digest)["layers"]]


def noise(size: int, seed: str = "") -> bytes:
    """Bytes that do not compress, the same each time."""
    return hashlib.shake_128(seed.encode()).digest(size)


def client(name: str, **options) -> Client:
    return Client(reference.parse(name), **{"pause": no_pause, **options})


async def no_pause(seconds: float) -> None:
    """Time is virtual."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def docker_registry(directory, *, tls: tuple[str, str] | None = None, htpasswd: str = ""):
    """Debian's registry on a loopback port; gives `127.0.0.1:PORT`."""
    port = free_port()
    http: dict[str, object] = {"addr": f"127.0.0.1:{port}", "secret": "x"}
    if tls:
        http["tls"] = {"certificate": tls[0], "key": tls[1]}
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": f"{directory}/data"},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    if htpasswd:
        config["auth"] = {"htpasswd": {"realm": "tests", "path": htpasswd}}
    path = f"{directory}/config.yml"
    with open(path, "w") as file:
        json.dump(config, file)  # JSON is YAML
    with open(f"{directory}/log", "wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _wait_for(port, server)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert server.poll() is None, "docker-registry ended at once"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        os.sched_yield()
    raise AssertionError("docker-registry does not listen")


def raw_get(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def make_certificate(directory) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1: paths of certificate and key."""
    certificate, key = f"{directory}/cert.pem", f"{directory}/key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=tests",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:strict.test",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
