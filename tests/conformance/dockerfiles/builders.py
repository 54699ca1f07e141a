"""The builders, with the image `base` each: what `docker save` would give, or what was said."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from tests import busybox_image
from tests.conformance.dockerfiles import OLD, Case, write_context
from tests.engine_process import Engine


class Failed(Exception):
    """A build that was refused or did not end well; what was said."""


def base() -> bytes:
    """A docker-archive: busybox, and below /lower something of every kind."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as top, tarfile.open(fileobj=packed, mode="w") as layer:
        busybox_image.tree(top)
        lower = Path(top, "lower")
        for name in ("dir/a", "dir/b", "dir/sub/c", "file", "hard1", "setuid", "owned/x"):
            (lower / name).parent.mkdir(parents=True, exist_ok=True)
            (lower / name).write_text(f"{name}\n")
        (lower / "hard2").hardlink_to(lower / "hard1")
        (lower / "setuid").chmod(0o4755)
        (lower / "link").symlink_to("dir")
        (lower / "absolute").symlink_to("/lower/dir")
        (lower / "dangling").symlink_to("nowhere")
        os.mkfifo(lower / "fifo")
        os.chown(lower / "owned", 33, 10)
        os.chown(lower / "owned" / "x", 33, 33)
        Path(top).chmod(0o755)
        layer.add(top, ".", filter=_old)
    diff_id = f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"
    config = {
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "BASE"}],
    }  # fmt: skip
    manifest = [{"Config": "config.json", "RepoTags": ["base:latest"], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": packed.getvalue(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _old(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = OLD
    member.uname = member.gname = ""
    return member


class Ours:
    """`POST /build` of an engine."""

    def __init__(self, engine: Engine, archive: bytes) -> None:
        self._engine = engine
        status, answer = engine.request("POST", "/images/load", archive)
        assert status == 200, answer

    def build(self, case: Case, place: Path) -> bytes:
        parent, text = case.text("parent"), case.text("Dockerfile")
        if parent is not None:
            self._build(case, place, parent, "parent")
        assert text is not None, case.name
        self._build(case, place, text, "made")
        status, archive = self._engine.request("GET", "/images/made/get")
        assert status == 200
        data: bytes = archive
        return data

    def _build(self, case: Case, place: Path, dockerfile: str, name: str) -> None:
        packed = io.BytesIO()
        (place / "Dockerfile").write_text(dockerfile)
        with tarfile.open(fileobj=packed, mode="w") as context:
            context.add(place, ".")
        args = json.dumps(dict(arg.split("=", 1) for arg in case.args))
        query = f"/build?t={name}&target={case.target}&buildargs={quote(args)}"
        status, answer = self._engine.request("POST", query, packed.getvalue())
        if status != 200:
            raise Failed(answer["message"])
        lines = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        last = json.loads(lines.splitlines()[-1])
        if "error" in last:
            raise Failed(last["error"])


class Peer(Protocol):
    def build(self, case: Case, place: Path) -> bytes: ...
    def close(self) -> None: ...


class Buildah:
    """Debian's, with storage of its own below `place`."""

    def __init__(self, place: Path, archive: bytes) -> None:
        self._place = place
        (place / "base.tar").write_bytes(archive)
        made = self._run("pull", "-q", f"docker-archive:{place}/base.tar")
        self._run("tag", made.strip(), "localhost/base")

    def _run(self, *words: str) -> str:
        where = [f"--root={self._place}/root", f"--runroot={self._place}/run"]
        done = subprocess.run(
            ["buildah", *where, "--storage-driver=vfs", *words],
            capture_output=True, text=True, env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )  # fmt: skip
        if done.returncode:
            raise Failed(done.stderr)
        return done.stdout

    def build(self, case: Case, place: Path) -> bytes:
        for heading, name in (("parent", "parent"), ("Dockerfile", "made")):
            text = case.text(heading)
            if text is None:
                continue
            (place / "Dockerfile").write_text(text)
            words = [word for arg in case.args for word in ("--build-arg", arg)]
            words += ["--target", case.target] if case.target else []
            options = ["--format=docker", "--layers", "--no-cache", "--pull=never", "--quiet"]
            self._run("build", *options, *words, "-t", name, str(place))
        out = self._place / "made.tar"
        out.unlink(missing_ok=True)
        self._run("push", "-q", "made", f"docker-archive:{out}:made:latest")
        return out.read_bytes()

    def close(self) -> None:
        self._run("rmi", "--all", "--force")
        shutil.rmtree(self._place)


class BuildKit:
    """`buildkitd` and `buildctl` of PATH, with a runc; images go in as OCI layouts."""

    def __init__(self, place: Path, archive: bytes) -> None:
        self._place, self._bases = place, {"base": _layout(place / "base", archive)}
        self._address = f"unix://{place}/buildkitd.sock"
        (place / "buildkitd.toml").write_text(f'root = "{place}/root"\n')  # and not the host's
        words = ["--addr", self._address, "--oci-worker-net=host", "--containerd-worker=false"]
        with open(place / "buildkitd.log", "wb") as log:
            self._daemon = subprocess.Popen(
                ["buildkitd", f"--config={place}/buildkitd.toml", f"--root={place}/root", *words],
                stdout=log, stderr=log,
            )  # fmt: skip
        for _ in range(600):
            if self._ctl("debug", "workers").returncode == 0:
                return
            time.sleep(0.1)
        raise Failed(f"buildkitd did not start, see {place}/buildkitd.log")

    def _ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        asked = ["buildctl", "--addr", self._address, *words]
        return subprocess.run(asked, capture_output=True, text=True, check=False)

    def build(self, case: Case, place: Path) -> bytes:
        text, parent = case.text("Dockerfile"), case.text("parent")
        assert text is not None, case.name
        bases = dict(self._bases)
        if parent is not None:
            target = self._place / "parent"
            shutil.rmtree(target, ignore_errors=True)
            self._build(case, place, parent, bases, f"type=oci,tar=false,dest={target}")
            (manifest,) = json.loads((target / "index.json").read_text())["manifests"]
            bases["parent"] = manifest["digest"]
        out = self._place / "made.tar"
        self._build(case, place, text, bases, f"type=docker,name=made,dest={out}")
        return out.read_bytes()

    def _build(
        self, case: Case, place: Path, dockerfile: str, bases: dict[str, str], output: str
    ) -> None:
        (place / "Dockerfile").write_text(dockerfile)
        # Files of one name, size and time are the same for it, also in another directory.
        self._ctl("prune", "--filter=type==source.local")
        words = [f"--local={name}={place}" for name in ("context", "dockerfile")]
        words += ["--no-cache", f"--opt=target={case.target}", f"--output={output}"]
        words += [f"--opt=build-arg:{arg}" for arg in case.args]
        for name, digest in bases.items():
            words += [f"--oci-layout={name}={self._place / name}"]
            words += [f"--opt=context:{name}=oci-layout://{name}@{digest}"]
        done = self._ctl("build", "--progress=plain", "--frontend=dockerfile.v0", *words)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1])

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(30)
        shutil.rmtree(self._place)


def _layout(top: Path, archive: bytes) -> str:
    """An OCI layout of a docker-archive with one layer; the manifest's digest."""
    (top / "blobs" / "sha256").mkdir(parents=True)

    def blob(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (top / "blobs" / "sha256" / digest).write_bytes(data)
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        config, layer = (
            packed.extractfile(name) for name in ("config.json", "layer.tar")
        )  # as `base` calls them
        assert config is not None and layer is not None
        document = {
            "schemaVersion": 2,
            "config": blob("config.v1+json", config.read()),
            "layers": [blob("layer.v1.tar", layer.read())],
        }
    manifest = blob("manifest.v1+json", json.dumps(document).encode())
    (top / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (top / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return str(manifest["digest"])


def context(case: Case, place: Path) -> Path:
    """The case's files below `place`, in a directory of its own."""
    top = place / case.name
    top.mkdir()
    write_context(case, top)
    return top
