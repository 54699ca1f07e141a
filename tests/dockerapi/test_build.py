"""`POST /build` through the real socket: what docker-py and `docker build` of old see."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.busybox_image import BUSYBOX
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

START = "FROM scratch\nCOPY busybox /bin/busybox\n"


def packed(dockerfile: str, files: dict[str, str], mtime: int = 1_000_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        with open(BUSYBOX, "rb") as program:
            contents = {"busybox": program.read(), "Dockerfile": dockerfile.encode()}
        contents |= {name: text.encode() for name, text in files.items()}
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), mtime
            member.mode = 0o755 if name == "busybox" else 0o640
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def build(engine: Engine, context: bytes, query: str = "") -> tuple[str, list[dict[str, Any]]]:
    """All text of the stream, and its messages."""
    status, answer = engine.request("POST", f"/build?{query}", context)
    assert status == 200, answer
    lines = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    messages = [json.loads(line) for line in lines.splitlines() if line.strip()]
    return "".join(message.get("stream", "") for message in messages), messages


def made(messages: list[dict[str, Any]]) -> str:
    ids = [message["aux"]["ID"] for message in messages if "aux" in message]
    assert ids, messages
    return str(ids[-1])


def test_stages_become_an_image_with_config_and_history(engine: Engine) -> None:
    dockerfile = (
        START.replace("scratch", "scratch AS one")
        + 'ARG V=1\nRUN ["/bin/busybox", "sh", "-c", "echo v=$V > /made"]\n'
        + START
        + "COPY --from=one --chown=7:8 /made /deep/er/\n"
        + "COPY <<E /note\nfor $HOME you\nE\n"
        + 'WORKDIR /work\nUSER 7\nENV A=1 B="x y"\nEXPOSE 80\nCMD ["/bin/busybox", "true"]\n'
    )
    text, messages = build(
        engine, packed(dockerfile, {}), "t=built:1&buildargs=" + quote('{"V":"2"}')
    )
    assert "Step 1/13 : FROM scratch AS one\n" in text
    assert text.endswith(
        f"Successfully built {made(messages)[7:19]}\nSuccessfully tagged built:1\n"
    )
    image = engine.request("GET", "/images/built:1/json")[1]
    assert image["Id"] == made(messages)
    config = image["Config"]
    assert (config["User"], config["WorkingDir"], config["Cmd"]) == (
        "7",
        "/work",
        ["/bin/busybox", "true"],
    )
    assert config["Env"][1:] == ["A=1", "B=x y"]
    script = "cat /deep/er/made /note; stat -c %u:%g:%a /deep/er/made"
    container = engine.run("/bin/busybox", "sh", "-c", script, Image="built:1", User="0")
    assert engine.wait(container) == 0
    logs = engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1]
    assert b"v=2\n" in logs
    assert b"for  you\n" in logs
    assert b"7:8:644\n" in logs
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_the_same_inputs_give_the_same_image_and_nothing_is_done_twice(engine: Engine) -> None:
    dockerfile = START + 'COPY a /a\nRUN ["/bin/busybox", "touch", "/x"]\n'
    _, first = build(engine, packed(dockerfile, {"a": "one"}))
    text, second = build(engine, packed(dockerfile, {"a": "one"}, mtime=2_000_000))
    assert made(first) == made(second)
    assert text.count("Using cache") == 3
    text, third = build(engine, packed(dockerfile, {"a": "two"}))
    assert text.count("Using cache") == 1
    assert made(third) != made(first)


def test_a_copy_alone_is_the_same_bytes_without_the_cache(engine: Engine) -> None:
    context = packed(START + "WORKDIR /w\nENV A=b\n", {})
    ids = {made(build(engine, context, "nocache=1")[1]) for _ in range(2)}
    assert len(ids) == 1


def test_a_context_may_be_compressed_and_ignored_files_are_not_there(engine: Engine) -> None:
    files = {".dockerignore": "*.log\n", "x.log": "", "y.txt": ""}
    context = gzip.compress(packed(START + "COPY . /all/\nCOPY x.log /\n", files))
    _, messages = build(engine, context)
    assert '"/x.log": not found' in messages[-1]["error"]


def _run(mounts: str, script: str) -> str:
    return f'RUN {mounts} ["/bin/busybox", "sh", "-c", "{script}"]\n'


def test_a_cache_is_kept_from_step_to_step_and_is_in_no_layer(engine: Engine) -> None:
    cache = "--mount=type=cache,id=kept,target=/deep/cache"
    dockerfile = START + "WORKDIR /w\n"
    dockerfile += _run(cache + ",mode=0700,uid=7", "/bin/busybox echo one > /deep/cache/x")
    dockerfile += _run(
        cache.replace("/deep/cache", "other") + ",sharing=locked,ro,mode=0700,uid=7",
        "/bin/busybox cat /w/other/x && /bin/busybox stat -c %u:%a /w/other"
        " && ! /bin/busybox touch /w/other/y",
    )
    text, messages = build(engine, packed(dockerfile, {}), "t=cached:1")
    assert "one\n7:700\n" in text, messages
    container = engine.run("/bin/busybox", "ls", "/deep", "/w/other", Image="cached:1")
    assert engine.wait(container) == 1, "a mount point stayed in the image"
    engine.request("DELETE", f"/containers/{container}?force=1")
    text, _ = build(engine, packed(dockerfile, {}))
    assert text.count("Using cache") == 4


def test_a_mount_point_that_becomes_a_link_leads_nowhere(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    script = f"cd /bin && ./busybox mv /deep /moved && ./busybox ln -s {tmp_path} /deep"
    dockerfile = START + _run("--mount=type=tmpfs,target=/deep/empty", script)
    _, messages = build(engine, packed(dockerfile, {}))
    assert made(messages)
    assert (tmp_path / "empty").is_dir()


def test_a_private_cache_has_one_user_at_a_time_and_a_tmpfs_has_its_size(engine: Engine) -> None:
    private = "--mount=type=cache,sharing=private,"
    dockerfile = START + _run(
        f"{private}target=/a,id=p {private}target=/b,id=p --mount=type=tmpfs,target=/t,size=1m",
        "/bin/busybox touch /a/x && ! /bin/busybox test -e /b/x"
        " && /bin/busybox df /t | /bin/busybox grep 1024",
    )
    _, messages = build(engine, packed(dockerfile, {}))
    assert made(messages)


@pytest.mark.parametrize(
    ("dockerfile", "reason"),
    [
        (START + 'RUN ["/bin/busybox", "sh", "-c", "exit 3"]\n', "non-zero code: 3"),
        (START + "RUN --mount=type=secret,id=x,required y\n", "secret x: not found"),
        (START + "RUN --mount=type=ssh,required y\n", "ssh agent default: not found"),
        (START + "RUN --security=insecure y\n", "build with --allow security.insecure"),
        ("FROM scratch AS me\nCOPY --from=me a /\n", "it needs to be defined before current stage"),
        (START + "EXPOSE 99999\n", "invalid containerPort: 99999"),
        (START + "EXPOSE 90-80/udp\n", "invalid containerPort: 90-80"),
        (START + "STOPSIGNAL NOPE\n", "line 3: invalid signal: NOPE"),
        (START + "RUN --network=host y\n", "build with --allow network.host"),
        (START + "RUN --device=acme.org/x=y,required y\n", "is not registered"),
        (START + "RUN --mount=from=nowhere.test/x,target=/x y\n", "nowhere.test"),
        (START + "RUN --mount=source=ghost,target=/x y\n", '"ghost": no such file'),
        (START + "RUN --mount=type=cache,target=/ y\n", "invalid mount target"),
        (START + "ADD http://127.0.0.1:1/x /\n", "Connection refused"),
        (START + "ADD --checksum=sha256:00 a /\n", "checksum can't be specified for local"),
        (START + "COPY --from=127.0.0.1:1/nowhere / /\n", "127.0.0.1:1"),
    ],
)
def test_a_step_that_fails_is_named_and_leaves_no_container(
    engine: Engine, dockerfile: str, reason: str
) -> None:
    before = len(engine.request("GET", "/containers/json?all=1")[1])
    _, messages = build(engine, packed(dockerfile, {"a": ""}))
    assert reason in messages[-1]["error"]
    assert len(engine.request("GET", "/containers/json?all=1")[1]) == before


@pytest.mark.parametrize(
    ("query", "dockerfile", "reason"),
    [
        ("", "FORM x\n", "line 1: unknown instruction: FORM (did you mean FROM?)"),
        ("dockerfile=Other", "FROM scratch\n", "Cannot locate specified Dockerfile: Other"),
        ('outputs=[{"Type":"disk"}]', "FROM scratch\n", "the type is one of image, registry"),
        ("provenance=mode%3Dall", "FROM scratch\n", "mode=all: min or max is wanted"),
        ("platform=linux/amd64,x/y/z/w", "FROM scratch\n", "'x/y/z/w' is no platform"),
        ("remote=ftp://x/y", "FROM scratch\n", "a remote context is a git or http address"),
        ("secrets=none", "FROM scratch\n", "the secrets' token is unknown"),
        ("cachefrom={}", "FROM scratch\n", "must be a list"),
        ("buildargs=7", "FROM scratch\n", "must be an object"),
        ("target=to", "FROM scratch AS two\n", 'target stage "to" could not be found'),
    ],
)
def test_what_can_never_work_is_refused_before_anything_is_done(
    engine: Engine, query: str, dockerfile: str, reason: str
) -> None:
    status, answer = engine.request("POST", f"/build?{query}", packed(dockerfile, {}))
    assert status >= 400
    assert reason in answer["message"]


def test_a_committed_image_tells_where_it_comes_from(engine: Engine) -> None:
    base = made(build(engine, packed(START, {}), "t=base:1")[1])
    container = engine.run("/bin/busybox", "touch", "/new", Image="base:1")
    engine.wait(container)
    status, answer = engine.request("POST", f"/commit?container={container}&repo=made&tag=1")
    assert status == 201
    told = engine.request("GET", "/v1.41/images/made:1/json")[1]
    assert (told["Id"], told["Parent"]) == (answer["Id"], base)
    assert told["Container"] == container
    assert told["ContainerConfig"]["Image"] == "base:1"
    assert "Container" not in engine.request("GET", "/images/made:1/json")[1]
    built = made(build(engine, packed("FROM made:1\nENV A=1\n", {}))[1])
    told = engine.request("GET", f"/v1.41/images/{built}/json")[1]
    assert told["Container"] == ""
    engine.request("DELETE", f"/containers/{container}?force=1")
    for name in (built, "made:1", "base:1"):
        assert engine.request("DELETE", f"/images/{name}?force=1")[0] == 200


def test_buildkit_asked_for_without_a_session_takes_the_tar(engine: Engine) -> None:
    text, messages = build(engine, packed(START, {}), "version=2&t=plain:2")
    assert made(messages) == engine.request("GET", "/images/plain:2/json")[1]["Id"]
    assert text.startswith("Step 1/2 : FROM scratch\n")


def test_an_image_without_path_gets_one_from_a_build(engine: Engine) -> None:
    """As BuildKit has it; what `docker import` made has none."""
    status, _ = engine.request(
        "POST", "/images/create?fromSrc=-&repo=imported", packed("FROM scratch\n", {})
    )
    assert status == 200
    _, messages = build(engine, packed("FROM imported\nENV A=1\n", {}))
    image = engine.request("GET", f"/images/{made(messages)}/json")[1]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert image["Config"]["Env"] == [path, "A=1"]
