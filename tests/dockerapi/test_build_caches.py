"""Caches of other places: an engine that never built finds each step done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sampan.buildkit import grpc, messages
from sampan.spec import oci_image
from tests.buildkit.client import Client
from tests.busybox_image import BUSYBOX
from tests.dockerapi.test_buildkit import CONTROL, upgrade
from tests.engine_process import Engine
from tests.registry import support

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Build = Callable[..., str]
    Message = dict[str, Any]

pytestmark = [pytest.mark.needs("mount"), pytest.mark.needs("docker-registry")]

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "src")
RUN = 'RUN {} ["/bin/busybox", "sh", "-c", "{}"]\n'
SHOWN = "echo it had $(/bin/busybox cat /cache/x); echo packed >/cache/x; echo {} >/out"
_BUSYBOX = Path(BUSYBOX).read_bytes()
START = "FROM scratch AS base\nCOPY busybox /bin/busybox\nENV A=b\n" + RUN.format("", "echo 1 >/1")
MOUNT = "--mount=type=cache,id=pack,target=/cache"
END = "FROM base\nCOPY --from=work /out /out\n"


def dockerfile(word: str = "built") -> str:
    return START + "FROM base AS work\n" + RUN.format(MOUNT, SHOWN.format(word)) + END


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """`sampan build` at an engine; what it says."""
    place = tmp_path / "context"
    place.mkdir()
    shutil.copy2(BUSYBOX, place / "busybox")

    def run(engine: Engine, text: str, *words: str, fails: bool = False) -> str:
        (place / "Dockerfile").write_text(text)
        code = "import sys; from sampan.cli.main import main; sys.exit(main())"
        environment = {**os.environ, "PYTHONPATH": SOURCE, "SAMPAN_HOST": engine.docker_host}
        done = subprocess.run(
            [sys.executable, "-c", code, "build", *words, "context"],
            capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert bool(done.returncode) == fails, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def forgotten(engine: Engine) -> None:
    """All that the engine itself remembers of earlier builds."""
    engine.request("POST", "/build/prune?all=1")
    for image in engine.request("GET", "/images/json")[1]:
        if not any(tag.startswith("busybox") for tag in image["RepoTags"] or ()):
            engine.request("DELETE", f"/images/{image['Id']}?force=1")
    engine.request("POST", "/build/prune?all=1")


def image_of(said: str) -> str:
    return said.rpartition("Successfully built ")[2].split()[0]


@pytest.mark.parametrize(
    "form",
    [
        "type=registry,ref={}/c:1,mode=max",
        "type=registry,ref={}/c:2,mode=max,image-manifest=false,compression=zstd",
        "type=registry,ref={}/c:3,mode=max,oci-mediatypes=false",
        "type=local,{}=cache,mode=max,compression=uncompressed",
    ],
)
def test_another_engine_finds_all_steps_done(
    engine: Engine, other: Engine, registry: str, build: Build, form: str
) -> None:
    forgotten(other)
    place = "dest" if "local" in form else registry
    made = image_of(build(engine, dockerfile(), "--cache-to", form.format(place)))
    source = form.partition(",mode")[0].format("src" if "local" in form else registry)
    said = build(other, dockerfile(), "--cache-from", source)
    assert (image_of(said), said.count("Using cache")) == (made, 5), said


def test_the_least_cache_has_only_the_steps_of_the_result(
    engine: Engine, other: Engine, build: Build
) -> None:
    forgotten(other)
    build(engine, dockerfile("least"), "--cache-to", "type=local,dest=least")
    said = build(other, dockerfile("least"), "--cache-from", "type=local,src=least")
    assert "it had" in said  # the stage `work` is no part of the result
    assert said.count("Using cache") == 4, said


def test_cache_mounts_travel_too(engine: Engine, other: Engine, build: Build) -> None:
    forgotten(other)
    build(engine, dockerfile("m1"), "--cache-to", "type=local,dest=mounts,mode=max,mounts=true")
    assert "it had\n" in build(other, dockerfile("m2"))
    forgotten(other)
    said = build(other, dockerfile("m3"), "--cache-from", "type=local,src=mounts")
    assert "it had packed\n" in said, said


def test_an_image_carries_its_cache(
    engine: Engine, other: Engine, registry: str, build: Build
) -> None:
    forgotten(other)
    name = f"{registry}/inline:1"
    build(engine, dockerfile(), "--cache-to", "type=inline", "-t", name, "--push")
    said = build(other, dockerfile(), "--cache-from", f"type=registry,ref={name}")
    assert said.count("Using cache") == 4, said
    # Who starts from that image does not carry its cache on.
    build(engine, f"FROM {name}\nENV C=d\n", "-t", "child:1")
    packed = engine.request("GET", "/images/child:1/get")[1]
    assert b"moby.buildkit.cache.v0" not in packed


def test_the_same_build_makes_the_same_cache_in_both_engines(
    engine: Engine, other: Engine, build: Build, tmp_path: Path
) -> None:
    epoch = ("--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=86400")
    found = []
    for name, one in (("first", engine), ("second", other)):
        build(one, dockerfile(), *epoch, "--cache-to", f"type=local,dest={name},mode=max")
        found.append(json.loads((tmp_path / name / "index.json").read_text()))
    assert found[0] == found[1]


def test_a_cache_that_is_not_there_is_told_and_passed_over(
    engine: Engine, registry: str, build: Build
) -> None:
    said = build(engine, dockerfile(), "--cache-from", f"type=registry,ref={registry}/no:1")
    assert f"{registry}/no:1 not found" in said
    assert "--cache-from type=local,src=no: no such directory" in build(
        engine, dockerfile(), "--cache-from", "type=local,src=no"
    )


def test_a_cache_that_cannot_be_written_fails_the_build(engine: Engine, build: Build) -> None:
    form = f"type=registry,ref=127.0.0.1:{support.free_port()}/c:1"
    assert "cannot reach the registry" in build(
        engine, dockerfile(), "--cache-to", form, fails=True
    )
    build(engine, dockerfile(), "--cache-to", f"{form},ignore-error=true")


def test_a_directory_that_is_reset_keeps_one_cache(
    engine: Engine, build: Build, tmp_path: Path
) -> None:
    build(engine, dockerfile("r1"), "--cache-to", "type=local,dest=reset,mode=max")
    build(engine, dockerfile("r2"), "--cache-to", "type=local,dest=reset,mode=max,reset=true")
    index = json.loads((tmp_path / "reset/index.json").read_text())
    manifest = json.loads(_blob(tmp_path / "reset", index["manifests"][0]["digest"]))
    named = {index["manifests"][0]["digest"], manifest["config"]["digest"]}
    named |= {one["digest"] for one in manifest["layers"]}
    assert {f"sha256:{name}" for name in os.listdir(tmp_path / "reset/blobs/sha256")} == named


def test_a_damaged_layer_is_made_again(
    engine: Engine, other: Engine, build: Build, tmp_path: Path
) -> None:
    forgotten(other)
    build(engine, dockerfile("bad"), "--cache-to", "type=local,dest=bad,mode=max")
    for name in os.listdir(tmp_path / "bad/blobs/sha256"):
        path = tmp_path / "bad/blobs/sha256" / name
        if not path.read_bytes().startswith(b"{"):
            path.write_bytes(b"something else")
    said = build(other, dockerfile("bad"), "--cache-from", "type=local,src=bad")
    assert "it had" in said


def _blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs/sha256" / digest.partition(":")[2]).read_bytes()


# -- through BuildKit's session


class Store:
    """A client's directory of blobs, as containerd's content service has it."""

    AT = "/containerd.services.content.v1.Content/"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []

    def offer(self, service: grpc.Service) -> None:
        service.unary(self.AT + "Info", messages.CONTENT_WANTED, messages.EMPTY, self.info)
        service.streaming(
            self.AT + "Read", messages.CONTENT_READ, messages.CONTENT_PIECE, self.read
        )
        service.streaming(
            self.AT + "Write", messages.CONTENT_WRITE, messages.CONTENT_WRITTEN, self.write
        )

    async def info(self, stream: Any, message: Message) -> Message:
        assert dict(stream.metadata)["buildkit-attachable-store-id"] == "local:mine"
        if message["digest"] not in self.blobs:
            raise grpc.errors.NotFound("none")
        return {}

    async def read(self, stream: Any) -> None:
        message = await stream.recv_message()
        self.asked.append(message["digest"])
        await stream.send_message({"data": self.blobs[message["digest"]]})

    async def write(self, stream: Any) -> None:
        data = b""
        async for message in stream:
            assert message["offset"] == len(data)
            data += message["data"]
            if message["action"] == 2:
                assert oci_image.digest_of(data) == message["expected"]
                self.blobs[message["expected"]] = data
            await stream.send_message({"action": message["action"], "offset": len(data)})


@contextlib.asynccontextmanager
async def solving(engine: Engine, store: Store) -> AsyncIterator[Callable[..., Any]]:
    client = Client({"Dockerfile": dockerfile().encode(), "busybox": _BUSYBOX})
    client.piece = 1 << 16
    store.offer(client.service)
    channel = await grpc.dial(upgrade(engine, "/grpc", {}), b"")
    sock = upgrade(engine, "/session", {"X-Docker-Expose-Session-Uuid": "caches"})
    serving = asyncio.create_task(grpc.serve(sock, b"", [client.service]))

    async def solve(ref: str, attrs: dict[str, str], cache: Message) -> tuple[Message, list[str]]:
        request = {
            "Ref": ref, "Session": "caches", "Frontend": "dockerfile.v0", "FrontendAttrs": attrs,
            "Cache": cache,
        }  # fmt: skip
        answer = await channel.ask(CONTROL + "Solve", messages.SOLVE, messages.SOLVED, request)
        cached = []
        async with channel.open(
            CONTROL + "Status", messages.STATUS_REQUEST, messages.STATUS_RESPONSE
        ) as stream:
            await stream.send_message({"Ref": ref}, end=True)
            async for message in stream:
                cached += [one["name"] for one in message["vertexes"] if one["cached"]]
        return answer["ExporterResponse"], sorted(set(cached))

    try:
        yield solve
    finally:
        channel.close()
        sock.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def test_a_clients_directory_is_a_cache_through_its_session(engine: Engine, other: Engine) -> None:
    forgotten(other)
    store = Store()

    async def work() -> None:
        async with solving(engine, store) as solve:
            export = {"Type": "local", "Attrs": {"dest": "mine", "mode": "max"}}
            answer, _ = await solve("out", {}, {"Exports": [export]})
        made = json.loads(answer["cache.manifest"])
        assert made["digest"] in store.blobs
        async with solving(other, store) as solve:
            given = {"Type": "local", "Attrs": {"src": "mine", "digest": made["digest"]}}
            # As buildx sends it: with the frontend's attributes.
            _, cached = await solve("in", {"cache-imports": json.dumps([given])}, {})
        assert len([name for name in cached if "RUN" in name or "COPY" in name]) == 4, cached
        assert made["digest"] in store.asked

    asyncio.run(work())


def test_an_import_of_the_request_itself_is_no_less(engine: Engine, other: Engine) -> None:
    """As buildctl sends it, without a gateway."""
    forgotten(other)
    store = Store()

    async def work() -> None:
        async with solving(engine, store) as solve:
            export = {"Type": "local", "Attrs": {"dest": "mine", "mode": "max"}}
            answer, _ = await solve("out2", {}, {"Exports": [export]})
        digest = json.loads(answer["cache.manifest"])["digest"]
        async with solving(other, store) as solve:
            given = {"Type": "local", "Attrs": {"src": "mine", "digest": digest}}
            _, cached = await solve("in2", {}, {"Imports": [given]})
        assert cached
        async with solving(other, store) as solve:
            with pytest.raises(grpc.Refused, match="type=gha is not supported"):
                await solve("in3", {}, {"Exports": [{"Type": "gha", "Attrs": {}}]})

    asyncio.run(work())
