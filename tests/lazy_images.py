"""Images for lazy pulls: an eStargz layer in a registry of ours, behind a door that counts.

with Door(tmp_path) as door:
    image = door.push(files)
    door.hold()            requests for more than 3 MiB wait from now on: the background's
    door.sent              bytes of blobs that went through
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import http.server
import io
import os
import socket
import tarfile
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from sampan.image import compress, estargz
from sampan.image.lazy import filling, plan, toc
from sampan.spec import oci_image
from tests import busybox_image
from tests.registry.server.conftest import Registry

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 3 << 20


def noise(size: int, seed: str) -> bytes:
    """Bytes that do not compress, the same each time."""
    return hashlib.shake_128(seed.encode()).digest(size)


def tar_of(files: dict[str, bytes], *, busybox: bool = False) -> bytes:
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as top, tarfile.open(fileobj=packed, mode="w") as layer:
        if busybox:
            busybox_image.tree(top)
        os.chmod(top, 0o755)
        layer.add(top, ".")
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 1700000000, 0o755
            layer.addfile(info, io.BytesIO(data))
    return packed.getvalue()


class Layer:
    """A tar as an eStargz blob."""

    def __init__(self, tar: bytes) -> None:
        out = io.BytesIO()
        written = estargz.write(iter([tar]), out.write)
        self._set(out.getvalue(), written.diff_id, written.annotations)

    def _set(self, blob: bytes, diff_id: str, annotations: dict[str, str]) -> None:
        self.blob, self.diff_id, self.annotations = blob, diff_id, annotations
        self.digest = oci_image.digest_of(self.blob)
        self.toc_offset = toc.footer(self.blob[-toc.FOOTER :])
        self.tail = self.blob[self.toc_offset :]
        toc_digest = self.annotations[estargz.TOC_DIGEST]
        self.table = toc.unpack(self.tail[: -toc.FOOTER], toc_digest)
        self.plan = plan.Plan(self.table, len(self.blob), self.toc_offset)

    def with_table(self, table: bytes) -> Layer:
        """The same with another table of contents, and all digests of it right."""
        member = io.BytesIO()
        with tarfile.open(fileobj=member, mode="w") as tar:
            info = tarfile.TarInfo(estargz.TOC_NAME)
            info.size, info.mode = len(table), 0o444
            tar.addfile(info, io.BytesIO(table))
        head = self.blob[: self.toc_offset]
        plain = (
            b"".join(compress.decompress(compress.chunks(io.BytesIO(head), 1 << 16)))
            + member.getvalue()
        )
        blob = head + gzip.compress(member.getvalue()) + estargz.footer(self.toc_offset)
        made = Layer.__new__(Layer)
        annotations = {estargz.TOC_DIGEST: oci_image.digest_of(table)}
        made._set(blob, oci_image.digest_of(plain), annotations)
        return made

    @property
    def descriptor(self) -> dict[str, Any]:
        described = oci_image.descriptor(oci_image.LAYER_GZIP, self.blob)
        return {**described, "annotations": self.annotations}

    def start(self) -> filling.Start:
        promise = filling.Promise(
            reference="registry.test/x:1", blob=self.digest, size=len(self.blob),
            diff_id=self.diff_id, toc_offset=self.toc_offset,
        )  # fmt: skip
        return filling.Start(promise=promise, table=self.table, tail=self.tail, plan=self.plan)

    def span_of(self, name: str) -> tuple[int, int]:
        """Where in the blob a file's first chunk is."""
        for member in self.plan.members:
            if member.entry.name.lstrip("./") == name:
                number = next(
                    at
                    for at, span in enumerate(self.plan.spans)
                    if span.start == member.chunks[0].offset
                )
                span = self.plan.spans[number]
                return span.start, span.end
        raise AssertionError(name)


class Door:
    """A registry behind a proxy of plain HTTP that counts, holds, spoils and closes."""

    def __init__(self, place: Path) -> None:
        self._registry = Registry(place / "registry")
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Condition()
        self.sent = 0
        self.largest = LARGE  # bytes of a request that is not held
        self.held = 0  # requests that came to wait
        self.spoiled: tuple[int, int] | None = None  # bytes of blobs that go out wrong
        self._server: http.server.ThreadingHTTPServer | None = None
        self._port = 0
        self.answers()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.set()
        self.refuses()
        self._registry.stop()

    def hold(self) -> None:
        self._open.clear()

    def wait_for(self, held: int) -> None:
        """Until so many requests have come to wait."""
        with self._lock:
            assert self._lock.wait_for(lambda: self.held >= held, 20)

    def let_go(self) -> None:
        self._open.set()

    def answers(self) -> None:
        handler = type("Handler", (_Handler,), {"door": self})
        self._server = _Listening(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def refuses(self) -> None:
        """From now on nobody listens there."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            for sock in server.connections:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def push(self, layer: Layer, *, annotations: dict[str, str] | None = None) -> str:
        """An image of this layer; its reference."""
        name = "x"
        document = oci_image.encode(
            {
                "architecture": oci_image.host_platform().architecture,
                "os": "linux",
                "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            }
        )
        manifest = oci_image.encode(
            {
                "schemaVersion": 2,
                "mediaType": oci_image.MANIFEST,
                "config": oci_image.descriptor(oci_image.CONFIG, document),
                "layers": [
                    layer.descriptor
                    if annotations is None
                    else {**layer.descriptor, "annotations": annotations}
                ],
            }
        )
        for data in (document, layer.blob):
            digest = oci_image.digest_of(data)
            self._send("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data, "")
        self._send("PUT", f"/v2/{name}/manifests/1", manifest, oci_image.MANIFEST)
        return f"{self.address}/{name}:1"

    def _send(self, method: str, path: str, data: bytes, kind: str) -> None:
        connection = http.client.HTTPConnection(self._registry.address)
        headers = {"Content-Type": kind or "application/octet-stream"}
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        connection.close()

    def ask(self, method: str, path: str, wanted: str) -> tuple[int, dict[str, str], bytes]:
        """What the registry says, as it goes out."""
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if last and int(last) - int(first) >= self.largest:
            with self._lock:
                self.held += 0 if self._open.is_set() else 1
                self._lock.notify_all()
            self._open.wait()
        connection = http.client.HTTPConnection(self._registry.address)
        connection.request(method, path, headers={"Range": wanted} if wanted else {})
        answer = connection.getresponse()
        body = bytearray(answer.read())
        connection.close()
        if "/blobs/" in path and method == "GET":
            with self._lock:
                self.sent += len(body)
            if self.spoiled and first:
                start = int(first)
                for at in range(max(self.spoiled[0], start), self.spoiled[1]):
                    if at - start < len(body):
                        body[at - start] ^= 0xFF
        return answer.status, dict(answer.getheaders()), bytes(body)


class _Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *args: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*args)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client went away


class _Handler(http.server.BaseHTTPRequestHandler):
    door: Door
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, headers, body = self.door.ask(
            self.command, self.path, self.headers.get("Range", "")
        )
        self.send_response(status)
        kept = {"Content-Type", "Content-Range", "Docker-Content-Digest", "Content-Length"}
        for name, value in headers.items():
            if name.title() in kept:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass
