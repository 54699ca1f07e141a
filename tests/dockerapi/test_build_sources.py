"""COPY and ADD: archives, addresses, repositories, --parents, --link; contexts that have names."""

from __future__ import annotations

import bz2
import gzip
import http.server
import io
import json
import lzma
import subprocess
import tarfile
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.busybox_image import BUSYBOX
from tests.dockerapi.test_build import START, build, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def packed(dockerfile: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive, open(BUSYBOX, "rb") as program:
        contents = {"busybox": program.read(), "Dockerfile": dockerfile.encode(), **files}
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755 if name == "busybox" else 0o640
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def archive(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made_:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.gid = len(text), 5, 6
            made_.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def shown(engine: Engine, image: str, script: str) -> str:
    container = engine.run("/bin/busybox", "sh", "-c", script, Image=image, WorkingDir="/")
    engine.wait(container)
    logs = engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1]
    engine.request("DELETE", f"/containers/{container}?force=1")
    pieces = []
    while logs:
        size = int.from_bytes(logs[4:8], "big")
        pieces.append(logs[8 : 8 + size])
        logs = logs[8 + size :]
    return b"".join(pieces).decode()


@contextmanager
def served(directory: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_local_archives_are_unpacked(engine: Engine, pack: Callable[[bytes], bytes]) -> None:
    files = {"x.tar": pack(archive(inner="text")), "plain": gzip.compress(b"no archive")}
    dockerfile = START + "ADD x.tar plain /to/\nADD --unpack=false x.tar /as-it-is\n"
    _, messages = build(engine, packed(dockerfile, files))
    look = "cat /to/inner; stat -c :%u:%g /to/inner; test -f /as-it-is && ls /to"
    assert shown(engine, made(messages), look) == "text:5:6\ninner\nplain\n"


def test_a_file_behind_http_has_its_time_and_mode_600(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("from afar")
    (tmp_path / "x.tar").write_bytes(archive(inner="text"))
    subprocess.run(["touch", "-d", "@1000000", tmp_path / "file.txt"], check=True)
    digest = subprocess.run(
        ["sha256sum", tmp_path / "file.txt"], check=True, capture_output=True, text=True
    ).stdout.split()[0]
    with served(tmp_path) as address:
        dockerfile = START + (
            f"ADD --checksum=sha256:{digest} {address}/file.txt /\n"
            f"ADD {address}/x.tar /\nADD --unpack {address}/x.tar /un/\n"
        )
        _, messages = build(engine, packed(dockerfile, {}))
        bad = dockerfile.replace(digest, "0" * 64)
        assert "its digest is sha256:" in build(engine, packed(bad, {}))[1][-1]["error"]
    look = "stat -c %a:%Y /file.txt; test -f /x.tar && cat /un/inner"
    assert shown(engine, made(messages), look) == "600:1000000\ntext"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """`x.git`, as a plain web server shows it: main has two commits, `old` is the first."""
    work = tmp_path / "work"
    script = """
        git init -q -b main . && git config user.email a@b && git config user.name c
        mkdir sub && echo first > sub/file && cp BUSYBOX busybox
        printf 'FROM scratch\\nCOPY sub /\\n' > Dockerfile
        git add . && git commit -qm 1 && git tag old
        echo second > sub/file && git commit -qam 2
        git clone -q --bare . ../x.git && cd ../x.git && git update-server-info
    """.replace("BUSYBOX", BUSYBOX)
    work.mkdir()
    subprocess.run(["sh", "-ec", script], cwd=work, check=True)
    return tmp_path


def test_git_repositories(engine: Engine, repository: Path) -> None:
    with served(repository) as address:
        dockerfile = START + (
            f"ADD {address}/x.git#old:sub /old/\nADD {address}/x.git /new/\n"
            f"ADD --keep-git-dir=true {address}/x.git#main /git/\n"
            f"ADD {address}/x.git?keep-git-dir&submodules=false&ref=main /asked/\n"
        )
        _, messages = build(engine, packed(dockerfile, {}))
        look = "cat /old/file /new/sub/file; ls -A /new; test -d /git/.git && echo kept;"
        look += " test -d /asked/.git && echo kept"
        assert shown(engine, made(messages), look) == (
            "first\nsecond\nDockerfile\nbusybox\nsub\nkept\nkept\n"
        )
        text, messages = build(engine, b"", "remote=" + quote(f"{address}/x.git#main"))
        assert "Step 2/2 : COPY sub /" in text, messages
        _, messages = build(engine, packed(START + f"ADD {address}/x.git#gone /\n", {}))
        assert "gone" in messages[-1]["error"]


def test_a_git_repository_with_hashes_of_sha256(engine: Engine, tmp_path: Path) -> None:
    script = """
        git init -q --object-format=sha256 x.git && cd x.git
        git config user.email a@b && git config user.name c
        echo text > file && git add . && git commit -qm 1 && git update-server-info
    """
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    with served(tmp_path) as address:
        _, messages = build(engine, packed(START + f"ADD {address}/x.git/.git /\n", {}))
        assert shown(engine, made(messages), "cat /file") == "text\n"


def test_a_file_behind_an_address_without_a_name(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("text")
    with served(tmp_path) as address:
        dockerfile = START + f"ADD {address}/ /to/\nADD {address}/ /named\n"
        _, messages = build(engine, packed(dockerfile, {}))
        look = "cat /to/__unnamed__ /named"
        assert shown(engine, made(messages), look) == "texttext"


def test_parents_are_kept_from_the_pivot_on(engine: Engine) -> None:
    files = {"a/b/c.txt": b"", "a/b/d/e.txt": b"", "a/x.md": b""}
    dockerfile = START + (
        "COPY --parents a/b/c.txt a/*.md /all/\nCOPY --parents ./a/./b/*.txt /some/\n"
        "COPY --parents --exclude=**/d **/*.txt /deep/\n"
    )
    _, messages = build(engine, packed(dockerfile, files))
    look = "cd / && find all some deep -type f | sort"
    assert shown(engine, made(messages), look).split() == [
        "all/a/b/c.txt", "all/a/x.md", "deep/a/b/c.txt", "some/b/c.txt"
    ]  # fmt: skip


def test_a_whole_stage_is_copied(engine: Engine) -> None:
    dockerfile = START.replace("scratch", "scratch AS one") + START + "COPY --from=one / /all/\n"
    _, messages = build(engine, packed(dockerfile, {}))
    assert shown(engine, made(messages), "ls /all/bin") == "busybox\n"


def test_a_linked_layer_needs_nothing_below_it(engine: Engine) -> None:
    """A link in the stage leads a plain COPY elsewhere; with --link the place is taken anew."""
    link = 'RUN ["/bin/busybox", "ln", "-s", "/bin", "/to"]\n'
    _, messages = build(engine, packed(START + link + "COPY --link x /to/\n", {"x": b"data"}))
    assert shown(engine, made(messages), "test ! -h /to && cat /to/x") == "data"
    _, messages = build(engine, packed(START + link + "COPY x /to/\n", {"x": b"data"}))
    assert shown(engine, made(messages), "test -h /to && cat /bin/x") == "data"


def test_contexts_that_have_names(engine: Engine) -> None:
    files = {".sampan-contexts/extra/file": b"extra"}
    dockerfile = "FROM base\nCOPY --from=extra file /\nCOPY . /all/\n"
    _, messages = build(engine, packed(START, {}), "t=named:1")
    given = {"base": "docker-image://named:1", "extra": "local:extra"}
    _, messages = build(engine, packed(dockerfile, files), "contexts=" + quote(json.dumps(given)))
    assert shown(engine, made(messages), "cat /file; ls -A /all") == "extraDockerfile\nbusybox\n"
    _, messages = build(
        engine, packed("FROM extra\n", files), "contexts=" + quote(json.dumps(given))
    )
    assert engine.request("GET", f"/images/{made(messages)}/json")[1]["RootFS"]["Layers"]
