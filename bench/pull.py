"""The pull rows: one large layer from a real registry on loopback, to a started container."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import socket
import statistics
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peers import Containerd, Podman, Unpacking, descendants, note, pss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from peers import Peer

FILES, BYTES = 41_500, 486_000_000


Row = dict[str, float]


def row(peers: list[Peer], work: Path, runs: int = 3) -> Row:
    with _pushed(work) as reference, _started([Containerd], work) as more:
        return _timed([*peers, *more], reference, runs, start=True) if reference else {}


def memory_row(peers: list[Peer], work: Path, runs: int = 3) -> Row:
    """The most that an engine and its children had (PSS, MB) during one pull."""
    with _pushed(work) as reference, _started([Containerd], work) as more:
        engines = [peer for peer in [*peers, *more] if peer.engine_pids() and reference]
        return {peer.name: _most_memory(peer, reference) for peer in engines}


def tmpfs_row(peers: list[Peer], work: Path, runs: int = 3) -> Row:
    """Pulled and unpacked where the disk does not count."""
    with (
        _pushed(work) as reference,
        _tmpfs(work) as place,
        _started([Unpacking, Containerd, Podman], place) as unpacking,
    ):
        return _timed(unpacking, reference, runs, start=False) if reference else {}


def lazy_row(peers: list[Peer], work: Path, runs: int = 3) -> dict[str, float]:
    """The same image as eStargz, by Sampan alone: lazily, and whole."""
    sampan = next(peer for peer in peers if peer.name == "sampan")
    with _registry(work) as port:
        if not port:
            return {}
        plain, reference = (f"127.0.0.1:{port}/bench/{name}:latest" for name in ("large", "lazy"))
        _push(port)
        sampan.run("pull", plain)
        sampan.run("image", "convert", "--compression", "estargz", plain, reference)
        sampan.run("push", reference)
        sampan.run("rmi", plain, reference)
        taken: dict[str, list[float]] = {"sampan": [], "sampan, whole": []}
        for _ in range(runs):
            taken["sampan"].append(_to_first_instruction(sampan, reference, "--lazy"))
            taken["sampan, whole"].append(_to_first_instruction(sampan, reference))
        return {name: statistics.median(values) for name, values in taken.items()}


def _to_first_instruction(peer: Peer, reference: str, *options: str) -> float:
    start = time.perf_counter()
    peer.run("pull", *options, reference)
    peer.run("run", "--rm", "--network", "none", reference, "/bin/true")
    taken = (time.perf_counter() - start) * 1e3
    peer.run("rmi", reference)
    return taken


@contextmanager
def _started(kinds: Sequence[type[Peer]], work: Path) -> Iterator[list[Peer]]:
    peers: list[Peer] = []
    try:
        for kind in kinds:
            if missing := kind.missing():
                note(f"  {kind.name} is left out: {', '.join(missing)} not installed")
                continue
            peers.append(kind(work))
            peers[-1].start()
        yield peers
    finally:
        for peer in peers:
            peer.stop()


@contextmanager
def _tmpfs(work: Path) -> Iterator[Path]:
    place = work / "tmpfs"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bench", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", place], check=False)


def _timed(peers: list[Peer], reference: str, runs: int, *, start: bool) -> Row:
    """Milliseconds, medians, turn by turn."""
    taken: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(runs):
        for peer in peers:
            begin = time.perf_counter()
            peer.pull(reference)
            if start:
                peer.run_once(reference)
            taken[peer.name].append((time.perf_counter() - begin) * 1e3)
            peer.forget(reference)
    return {name: statistics.median(values) for name, values in taken.items()}


def _most_memory(peer: Peer, reference: str) -> float:
    """The largest sum (PSS, MB) that a peer's engine and its children had during one pull."""
    seen = [0.0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            seen.append(pss(descendants(peer.engine_pids())))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        peer.pull(reference)
    finally:
        done.set()
        watcher.join()
    peer.forget(reference)
    return max(seen)


@contextmanager
def _pushed(work: Path) -> Iterator[str]:
    """The name of the large image at a registry; "" where there is none."""
    with _registry(work) as port:
        if port:
            _push(port)
        yield f"127.0.0.1:{port}/bench/large:latest" if port else ""


@contextmanager
def _registry(work: Path) -> Iterator[int]:
    """A registry's port on loopback; 0 where the program is missing."""
    program = shutil.which("docker-registry")
    if program is None:
        note("  a pull row is left out: docker-registry not installed")
        yield 0
        return
    port = _free_port()
    config = work / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\n"
        f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([program, "serve", str(config)], stdout=quiet, stderr=quiet)
    try:
        yield port
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _layer() -> bytes:
    """41,500 files of mixed size whose text packs to somewhat less than half."""
    source = random.Random(1)
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz_ ", k=8)) for _ in range(4096)]
    text = " ".join(source.choices(words, k=400_000)).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        busybox = shutil.which("busybox")
        if busybox:
            tar.add(busybox, "bin/true")
        mean = BYTES // FILES
        for number in range(FILES):
            size = min(int(source.expovariate(1 / mean)), 1_000_000)
            start = source.randrange(len(text) - size) if size < len(text) else 0
            info = tarfile.TarInfo(f"usr/share/d{number // 200:03}/file{number:05}.txt")
            info.size, info.mtime = size, 1_700_000_000
            tar.addfile(info, io.BytesIO(text[start : start + size]))
    return out.getvalue()


def _push(port: int) -> None:
    plain = _layer()
    diff_id = "sha256:" + hashlib.sha256(plain).hexdigest()
    layer = gzip.compress(plain, 1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    ).encode()
    kind = "application/vnd.docker.container.image.v1+json"
    layer_kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": _blob(port, config) | {"mediaType": kind},
        "layers": [_blob(port, layer) | {"mediaType": layer_kind}],
    }
    url = f"http://127.0.0.1:{port}/v2/bench/large/manifests/latest"
    _request("PUT", url, json.dumps(manifest).encode(), manifest["mediaType"])


def _blob(port: int, data: bytes) -> dict[str, object]:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    place = _request("POST", f"http://127.0.0.1:{port}/v2/bench/large/blobs/uploads/", b"")
    joiner = "&" if "?" in place else "?"
    _request("PUT", f"{place}{joiner}digest={digest}", data, "application/octet-stream")
    return {"digest": digest, "size": len(data)}


def _request(method: str, url: str, body: bytes, kind: object = None) -> str:
    headers = {"Content-Type": str(kind)} if kind else {}
    request = urllib.request.Request(url, body, headers, method=method)
    for attempt in range(50):
        try:
            with urllib.request.urlopen(request) as answer:
                return str(answer.headers.get("Location") or "")
        except urllib.error.URLError as error:
            if attempt == 49 or not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    return ""
