"""A registry of ours as a process, and requests to it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).resolve().parents[3] / "src")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PATIENCE = 20


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def code(self) -> str:
        """The specification's error code."""
        found: str = json.loads(self.body)["errors"][0]["code"]
        return found


class Registry:
    def __init__(self, root: Path, *options: str) -> None:
        self.root, self.options = root, options
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sampan.cli.sampan_registry", "--root", str(self.root),
             "--addr", "127.0.0.1:0", *self.options],
            env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving at "), line
        self.address = line.strip().rpartition("/")[2]

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def push_blob(self, repository: str, data: bytes) -> str:
        name = digest(data)
        path = f"/v2/{repository}/blobs/uploads/?digest={name}"
        assert self("POST", path, data).status == 201
        return name

    def push_manifest(self, repository: str, reference: str, document: dict) -> Answer:
        kind = document.get("mediaType", MANIFEST)
        data = json.dumps(document).encode()
        return self("PUT", f"/v2/{repository}/manifests/{reference}", data, Content_Type=kind)

    def image(self, repository: str, *layers: bytes, **more: object) -> dict:
        """A manifest whose blobs are there."""
        config = self.push_blob(repository, b"{}")
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config,
                       "size": 2},
            "layers": [
                {"mediaType": "application/octet-stream", "size": len(layer),
                 "digest": self.push_blob(repository, layer)}
                for layer in layers
            ],
            **more,
        }  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    running = Registry(tmp_path / "registry")
    yield running
    if running.process.poll() is None:
        running.stop()
