"""A few hundred command lines, answered by dockerd and by us: the same exit code and words.

differential.txt holds the lines, in an order that makes a story. Two sessions play it beside each
other: Docker's CLI on dockerd (the reference) and the same CLI on our engine. What may differ is
listed there with its reason; a difference that has a reason and is none fails as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import busybox_image
from tests.callers.conftest import daemon, eventually
from tests.conformance import differential
from tests.engine_process import Engine

pytestmark = [
    # dockerd needs two minutes for it: `./do conformance docker-cli`
    pytest.mark.skipif("SAMPAN_DIFFERENTIAL" not in os.environ, reason="./do conformance runs it"),
    pytest.mark.needs("mount", "netns"),
    pytest.mark.skipif(shutil.which("docker") is None, reason="no docker CLI here"),
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="no dockerd here"),
]

LINES = differential.table()
SECTIONS = list(dict.fromkeys(line.section for line in LINES))
SAMPAN = str(Path(__file__).resolve().parents[2] / ".venv/bin/sampan")
REFERENCE = {"docker": "dockerd", "sampan": "docker"}  # whose answer each session has to give
API = "1.41"  # the newest that Debian's dockerd has: both engines answer as of that version


@contextlib.contextmanager
def dockerd(place: Path) -> Iterator[str]:
    """Debian's dockerd in network and mount namespaces of its own; its host."""
    socket = place / "docker.sock"
    words = [
        *differential.ALONE, "dockerd", f"--data-root={place}/docker",
        f"--exec-root={place}/docker-run", f"--pidfile={place}/docker.pid",
        f"--host=unix://{socket}", "--storage-driver=vfs",
    ]  # fmt: skip
    with daemon(place, *words) as process:
        log = place / "unshare.log"
        eventually(lambda: process.poll() is not None or socket.exists(), "dockerd's socket")
        eventually(lambda: _answers(f"unix://{socket}"), f"dockerd: {log.read_text()[-2000:]}")
        yield f"unix://{socket}"


def engine() -> Engine:
    """One of ours, in namespaces of its own as well: the lines name subnets."""
    return Engine(below=differential.ALONE, image=False)


def _answers(host: str) -> bool:
    return subprocess.run(["docker", "-H", host, "version"], capture_output=True).returncode == 0


def archive(path: Path, rootfs: Path) -> None:
    """A docker-archive with the image `box`: the same bytes, so the same id everywhere."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        layer.add(rootfs, ".")
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": {
                "Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"], "Labels": {"kind": "test"},
                "ExposedPorts": {"80/tcp": {}},
            },
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "by hand"}],
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"],
            },
        }
    ).encode()  # fmt: skip
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["box:latest"], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as whole:
        for member, data in (
            ("manifest.json", json.dumps(manifest).encode()),
            (name, config),
            ("layer.tar", packed.getvalue()),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            whole.addfile(entry, io.BytesIO(data))


def fill(top: Path, made: Path) -> Path:
    """The files that the lines name."""
    top.mkdir()
    shutil.copy(made, top / "busybox.tar")
    (top / "text").write_text("text\n")
    (top / "environment").write_text("# a comment\nONE=1\n\nTWO=a b\n")
    (top / "labels").write_text("kind=from a file\n")
    with tarfile.open(top / "tree.tar", "w") as tar:
        tar.add(top / "text", "text")
    return top


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, list[differential.Outcome]]]:
    place = Path(tempfile.mkdtemp(prefix="differ-", dir="/var/tmp"))
    made = place / "busybox.tar"
    busybox_image.tree(str(place / "rootfs"))
    (place / "rootfs").chmod(0o755)
    archive(made, place / "rootfs")
    docker, old = ["docker"], {"DOCKER_API_VERSION": API}
    sessions = {}
    try:
        with dockerd(place) as host, engine() as ours, engine() as own:
            new = differential.Session
            sessions["dockerd"] = new(docker, host, fill(place / "one", made), old)
            sessions["docker"] = new(docker, ours.docker_host, fill(place / "two", made), old)
            sessions["sampan"] = new([SAMPAN], own.docker_host, fill(place / "three", made), old)
            yield differential.play(sessions, LINES)
            assert "Traceback" not in ours.log(), ours.log()
            _empty(host)
    finally:
        shutil.rmtree(place)


def _empty(host: str) -> None:
    listed = subprocess.run(["docker", "-H", host, "ps", "-aq"], capture_output=True, text=True)
    if names := listed.stdout.split():
        subprocess.run(["docker", "-H", host, "rm", "-f", *names], capture_output=True, check=True)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("program", REFERENCE)
@pytest.mark.parametrize("section", SECTIONS)
def test_the_answers_are_equal(section, program, played):
    wrong = []
    answers = zip(LINES, played[REFERENCE[program]], played[program], strict=True)
    for line, expected, found in answers:
        if line.section != section:
            continue
        known = line.differs(program)
        if expected != found and not known:
            wrong.append(f"{line.number}: {line.text}\n{_shown(expected)}\n{_shown(found)}")
        elif expected == found and known:
            wrong.append(f"{line.number}: {line.text}\n   is listed as different: {known}")
    assert not wrong, "\n".join([f"{REFERENCE[program]}, and {program}:", *wrong])


def _shown(outcome: differential.Outcome) -> str:
    return f"   {outcome.code} | {outcome.stdout!r} | {outcome.stderr!r}"
