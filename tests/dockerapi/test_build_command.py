"""`sampan build` against a whole engine: what it sends along, and what it brings home."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from sampan.build import digests, local
from sampan.dockerapi import own_builds
from tests.busybox_image import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine_process import Engine

    Sampan = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = pytest.mark.needs("mount")

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "src")
DOCKERFILE = "FROM scratch\nCOPY busybox /bin/busybox\n"


@pytest.fixture
def sampan(engine: Engine, tmp_path: Path) -> Sampan:
    def run(*words: str, fails: bool = False, **more: object) -> subprocess.CompletedProcess[bytes]:
        code = "import sys; from sampan.cli.main import main; sys.exit(main())"
        environment = {**os.environ, "PYTHONPATH": SOURCE, "SAMPAN_HOST": engine.docker_host}
        environment |= {"DOCKER_CONFIG": str(tmp_path / "config"), "TOKEN": "from the environment"}
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            capture_output=True, env=environment, cwd=tmp_path, check=False, **more,
        )  # type: ignore[call-overload]  # fmt: skip
        assert bool(done.returncode) == fails, (done.stdout, done.stderr)
        return done  # type: ignore[no-any-return]

    return run


@pytest.fixture
def context(tmp_path: Path) -> Path:
    place = tmp_path / "context"
    place.mkdir()
    shutil.copy(BUSYBOX, place / "busybox")
    (place / "Dockerfile").write_text(DOCKERFILE)
    return place


def step(flags: str, script: str) -> str:
    return f"RUN {flags} {json.dumps(['/bin/busybox', 'sh', '-c', script])}\n"


def test_secrets_come_from_files_and_from_the_environment(sampan: Sampan, context: Path) -> None:
    (context.parent / "file").write_text("from a file")
    show = "/bin/busybox cat /run/secrets/file /run/secrets/TOKEN"
    mounts = "--mount=type=secret,id=file,required --mount=type=secret,id=TOKEN,required"
    (context / "Dockerfile").write_text(DOCKERFILE + step(mounts, show))
    done = sampan("build", "--secret", "id=file,src=file", "--secret", "id=TOKEN", "context")
    assert b"from a filefrom the environment" in done.stdout
    failed = sampan("build", "--secret", "id=x,src=gone", "context", fails=True)
    assert b"--secret id=x,src=gone: gone: no such file or directory" in failed.stderr


def test_further_contexts_travel_along(sampan: Sampan, context: Path) -> None:
    extra = context.parent / "extra"
    extra.mkdir()
    (extra / "inner").write_text("came along\n")
    show = "/bin/busybox cat /inner"
    (context / "Dockerfile").write_text(DOCKERFILE + "COPY --from=extra inner /\n" + step("", show))
    done = sampan("build", "--build-context", "extra=extra", "context")
    assert b"came along\n" in done.stdout
    failed = sampan("build", "--build-context", "extra=nowhere", "context", fails=True)
    assert b"nowhere is no directory" in failed.stderr
    with tarfile.open(extra.with_name("extra.tar.gz"), "w:gz") as archive:
        (extra / "inner").write_text("came in a tar\n")
        archive.add(extra / "inner", "inner")
    done = sampan("build", "--build-context", "extra=extra.tar.gz", "context")
    assert b"came in a tar\n" in done.stdout
    failed = sampan("build", "--build-context", "extra=context/Dockerfile", "context", fails=True)
    assert b"the build context extra is no tar" in failed.stderr


def test_a_dockerfile_may_lie_elsewhere_or_come_from_stdin(sampan: Sampan, context: Path) -> None:
    (context / "Dockerfile").unlink()
    (context.parent / "Other").write_text(DOCKERFILE + step("", "echo from elsewhere"))
    assert b"from elsewhere\n" in sampan("build", "-f", "Other", "context").stdout
    text = (DOCKERFILE + step("", "echo from stdin")).encode()
    assert b"from stdin\n" in sampan("build", "-f", "-", "context", input=text).stdout
    done = sampan("build", "-", input=b"FROM scratch\nLABEL alone=yes\n")
    assert b"Successfully built" in done.stdout


def test_results_are_delivered(sampan: Sampan, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /deep/file\n")
    sampan(
        "build", "-t", "out:1", "-o", "out", "-o", "type=oci,dest=image.tar",
        "--iidfile", "id", "--metadata-file", "meta.json", "context",
    )  # fmt: skip
    assert (tmp_path / "out/deep/file").read_text().startswith("FROM scratch")
    with tarfile.open(tmp_path / "image.tar") as archive:
        assert {"oci-layout", "index.json", "manifest.json"} <= set(archive.getnames())
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["containerimage.config.digest"] == (tmp_path / "id").read_text()
    assert meta["image.name"] == "docker.io/library/out:1"  # as buildx has it
    done = sampan("build", "-o", "-", "context")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert "deep/file" in archive.getnames()
    failed = sampan("build", "-o", "type=disc,dest=x", "context", fails=True)
    assert b"the type is one of image, registry" in failed.stderr


def test_a_layout_is_a_context(sampan: Sampan, context: Path, tmp_path: Path) -> None:
    sampan("build", "-t", "layout:1", "-o", "type=oci,dest=image.tar", "context")
    layout = tmp_path / "layout"
    with tarfile.open(tmp_path / "image.tar") as archive:
        archive.extractall(layout)
    (context / "Dockerfile").write_text("FROM base\n" + step("", "echo based"))
    done = sampan("build", "--build-context", "base=oci-layout://layout", "context")
    assert b"based\n" in done.stdout


def test_limits_of_the_steps(sampan: Sampan, context: Path) -> None:
    limits = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    see = f"ulimit -n; cat {limits} 2>/dev/null || true"
    (context / "Dockerfile").write_text(f'{DOCKERFILE}RUN ["/bin/busybox", "sh", "-c", "{see}"]\n')
    words = ("--ulimit", "nofile=77", "-c", "512", "-m", "64m", "--memory-swap", "64m")
    text = sampan("builder", "build", "--no-cache", *words, str(context)).stdout
    assert b"77\n" in text
    assert b"67108864\n" in text
    refused = sampan("build", "--squash", str(context), fails=True)
    assert b"squash is not supported" in refused.stderr


def test_check_builds_nothing(sampan: Sampan, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch AS Big\n")
    done = sampan("build", "--check", "context", fails=True)
    assert b"WARNING: StageNameCasing" in done.stdout
    assert b"Step" not in done.stdout
    assert b"StageNameCasing" in sampan("build", "lint", "context", fails=True).stdout


def test_bake_builds_a_target_and_the_one_that_it_stands_on(
    sampan: Sampan, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nARG WORD\nCOPY Dockerfile /low\n")
    (tmp_path / "docker-bake.hcl").write_text(
        'variable "WORD" { default = "ebb" }\n'
        'target "default" {\n'
        '  contexts = { base = "target:low" }\n'
        "  dockerfile-inline = <<EOF\nFROM base\nARG WORD\nENV WORD=$WORD\n"
        "COPY --from=base /low /up\nEOF\n"
        '  args = { WORD = WORD }\n  tags = ["baked:1"]\n  output = ["out"]\n'
        '  cache-to = ["type=local,dest=kept"]\n  attest = ["type=provenance,mode=max"]\n}\n'
        'target "low" {\n  context = "context"\n  tags = ["never:1"]\n}\n'
    )
    os.environ["WORD"] = "flood"
    try:
        done = sampan("bake", "--metadata-file", "made.json")
    finally:
        del os.environ["WORD"]
    assert done.stdout.index(b"==> low") < done.stdout.index(b"==> default")
    assert sorted(os.listdir(tmp_path / "out")) == ["low", "provenance.json", "up"]
    assert (tmp_path / "kept/index.json").exists()
    made = json.loads((tmp_path / "made.json").read_text())
    assert [*made] == ["default"] and made["default"]["image.name"] == "docker.io/library/baked:1"
    shown = json.loads(sampan("inspect", "baked:1").stdout)[0]
    assert "WORD=flood" in shown["Config"]["Env"]
    assert b"never" not in sampan("images").stdout


def test_a_directory_gives_the_same_image_in_place_as_sent(
    sampan: Sampan, context: Path, engine: Engine
) -> None:
    (context / ".dockerignore").write_text("skipped\n")
    (context / "skipped").mkdir()
    (context / "deep").mkdir()
    (context / "deep/file").write_text("one")
    (context / "deep/link").symlink_to("/etc/passwd")
    os.mkfifo(context / "deep/fifo")
    (context / "Dockerfile").write_text(f"{DOCKERFILE}COPY . /all/\n")
    sent = io.BytesIO()
    with tarfile.open(fileobj=sent, mode="w") as archive:
        archive.add(context, ".")
    image = sampan("build", "-q", "--no-cache", str(context))
    assert image.stdout == sampan("build", "-q", "--no-cache", "-", input=sent.getvalue()).stdout


def lent(engine: Engine, directory: str, identity: str) -> tuple[int, str]:
    body = {"Directory": directory, "Identity": identity}
    status, answer = engine.request("POST", "/sampan/build/contexts", body)
    return status, answer["Token"] if status == 200 else answer["message"]


def test_a_directory_is_read_in_place_by_a_token_that_serves_once(
    engine: Engine, context: Path
) -> None:
    status, token = lent(engine, str(context), local.identity(str(context)))
    assert status == 200
    assert engine.request("POST", f"/build?q=1&context={token}", b"")[0] == 200
    status, answer = engine.request("POST", f"/build?q=1&context={token}", b"")
    assert (status, answer["message"]) == (
        400,
        "the context's token is unknown: it serves one build",
    )


def test_a_directory_that_is_another_one_for_the_engine_is_not_read(
    engine: Engine, context: Path
) -> None:
    """As for a client of another machine, or in a container that has the socket."""
    status, message = lent(engine, str(context), local.identity("/"))
    assert (status, message) == (
        409,
        f"{context}: the engine sees another directory there: send it",
    )
    assert lent(engine, str(context / "gone"), "any")[0] == 400


ASK = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(sys.stdin.buffer.read())
print(sock.recv(4096).decode())
"""


def test_another_user_cannot_have_a_directory_read(engine: Engine, context: Path) -> None:
    """He may use the socket, but the engine's rights are not his."""
    identity = local.identity(str(context))
    body = json.dumps({"Directory": str(context), "Identity": identity})
    head = (
        "POST /sampan/build/contexts HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    opened = (engine.top, engine.paths.run, engine.paths.api_socket)
    modes = [os.stat(path).st_mode for path in opened]
    try:
        for path in opened:
            os.chmod(path, 0o777)
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-S", "-c", ASK, engine.paths.api_socket],
            input=f"{head}\r\n{body}".encode(), capture_output=True, user=65534, group=65534,
            extra_groups=[], cwd="/", check=True,
        )  # fmt: skip
    finally:
        for path, mode in zip(opened, modes, strict=True):
            os.chmod(path, stat.S_IMODE(mode))
    assert done.stdout.startswith(b"HTTP/1.1 403 "), done.stdout
    assert lent(engine, str(context), identity)[0] == 200


def test_what_comes_through_tls_is_nobody_of_this_machine() -> None:
    """Its end here is a socket pair of the engine's own, whose credentials are the engine's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert own_builds.peer(theirs) is None


def test_prune_forgets_what_is_known_of_a_directory(context: Path, engine: Engine) -> None:
    def known() -> list[dict[str, object]]:
        records = engine.request("GET", "/system/df?type=build-cache")[1]["BuildCache"]
        return [one for one in records if str(context) in one["Description"]]

    # A build of files as young as these would keep nothing.
    place = digests.kept(engine.paths.root, str(context))
    place.note("busybox", "1", bytes(32))
    place.save({"busybox": "1"})
    (record,) = known()
    assert record["Type"] == "source.local"
    assert record["ID"] in engine.request("POST", "/build/prune")[1]["CachesDeleted"]
    assert known() == []
