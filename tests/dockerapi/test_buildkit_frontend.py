"""What `dockerfile.v0` takes from a session's client: named contexts, requests, old attributes."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sampan.buildkit import grpc, messages
from tests.buildkit.client import Client
from tests.dockerapi.test_buildkit import CONTROL, START, Builder, builder
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
Message = dict[str, Any]
TAR = [{"Type": "tar", "Attrs": {}}]


def played(engine: Engine, files: dict[str, str], work: Callable[[Builder], Awaitable[None]],
           client: Client | None = None) -> None:  # fmt: skip
    async def play() -> None:
        async with builder(engine, files, client=client) as build:
            await work(build)

    asyncio.run(play())


def tree(build: Builder) -> dict[str, bytes]:
    """The files of a result that was exported as a tar."""
    with tarfile.open(fileobj=io.BytesIO(build.written["file"])) as archive:
        members = [member for member in archive if member.isreg()]
        return {m.name: archive.extractfile(m).read() for m in members}  # type: ignore[union-attr]


async def solved(build: Builder, **attrs: str) -> dict[str, bytes]:
    await build.solve(f"solve-{sorted(attrs.items())}", TAR, **attrs)
    return tree(build)


@contextmanager
def served(place: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(place))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_named_context_takes_the_place_of_a_stage_and_may_be_files_or_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    dockerfile = (
        'FROM nowhere.test/image AS base\nRUN ["/never"]\n'
        "FROM scratch\nCOPY --from=base /Docker* /copied\n"
        "FROM base AS begun\nCOPY --from=remote context /fetched\n"
    )
    (tmp_path / "file").write_text("from afar\n")

    async def work(build: Builder) -> None:
        found = await solved(build, **{"context:base": "local:context", "target": "1"})
        assert list(found) == ["copied"]
        with served(tmp_path) as address:
            named = {"context:base": "local:context", "context:remote": f"{address}/file"}
            found = await solved(build, **named)
        assert sorted(found) == ["Dockerfile", "busybox", "fetched"]
        assert found["fetched"] == b"from afar\n"
        nothing = {"context:base": "docker-image://scratch", "context:remote": "local:context"}
        with pytest.raises(grpc.Refused, match='"/context": not found'):
            await solved(build, **nothing)
        with pytest.raises(grpc.Refused, match="unsupported context source ftp for base"):
            await solved(build, **{"context:base": "ftp://x"})

    played(engine, {"Dockerfile": dockerfile}, work)


def test_a_named_context_may_be_a_layout_of_the_client(engine: Engine) -> None:
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, **more: str) -> Message:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        blobs[digest] = data
        return {"digest": digest, "size": len(data), **more}

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("inside")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    diff_id = f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"of": "layout"}},
              "rootfs": {"type": "layers", "diff_ids": [diff_id]}}  # fmt: skip
    oci = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2, "mediaType": f"{oci}manifest.v1+json",
        "config": blob(json.dumps(config).encode(), mediaType=f"{oci}config.v1+json"),
        "layers": [blob(packed.getvalue(), mediaType=f"{oci}layer.v1.tar")],
    }  # fmt: skip
    image = blob(json.dumps(manifest).encode(), mediaType=manifest["mediaType"])
    platform = {"os": "linux", "architecture": "amd64"}
    index = {"schemaVersion": 2, "mediaType": f"{oci}index.v1+json",
             "manifests": [{**image, "platform": platform}]}  # fmt: skip
    top = blob(json.dumps(index).encode())
    client = Client()
    stores = []

    async def read(stream: Any) -> None:
        stores.append(dict(stream.metadata.items())["buildkit-attachable-store-id"])
        request = await stream.recv_message()
        await stream.send_message({"data": blobs[request["digest"]]})

    client.service.streaming(
        "/containerd.services.content.v1.Content/Read",
        messages.CONTENT_READ, messages.CONTENT_PIECE, read,
    )  # fmt: skip

    async def work(build: Builder) -> None:
        name = {"Type": "moby", "Attrs": {"name": "of-layout:1"}}
        context = {"context:base": f"oci-layout://mine@{top['digest']}"}
        await build.solve("layout", [name], **context)
        assert await solved(build, **context) == {"inside": b"abc"}
        with pytest.raises(grpc.Refused, match="a digest is wanted"):
            await solved(build, **{"context:base": "oci-layout://mine"})

    played(engine, {"Dockerfile": "FROM base\nLABEL a=b\n"}, work, client)
    assert set(stores) == {"oci:mine"}
    made = engine.request("GET", "/images/of-layout:1/json")[1]
    assert made["Config"]["Labels"] == {"of": "layout", "a": "b"}


def test_a_dockerfile_in_lowercase_and_behind_http_and_beside_a_remote_context(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "df").write_text("FROM scratch\nCOPY <<E /one\nfar\nE\n")
    with tarfile.open(tmp_path / "context.tar", "w") as archive:
        member = tarfile.TarInfo("deep/er/name")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))

    async def work(build: Builder) -> None:
        with served(tmp_path) as address:
            found = await solved(build, context=f"{address}/df", filename="any.name")
            assert found == {"one": b"far\n"}
            found = await solved(
                build, context=f"{address}/context.tar", dockerfilekey="dockerfile",
                contextsubdir="deep/er",
            )  # fmt: skip
            assert found == {"two": b"abc"}

    played(engine, {"dockerfile": "FROM scratch\nCOPY name /two\n"}, work)
    client = Client()

    async def linked(build: Builder) -> None:
        client.files["Dockerfile"] = "web"  # a link
        assert await solved(build) == {"three": b"abc\n"}

    web = "FROM scratch\nCOPY <<E /three\nabc\nE\n"
    played(engine, {"web": web}, linked, client)


def test_what_a_run_can_ask_of_its_builder(engine: Engine) -> None:
    run = 'RUN ["/bin/busybox", "sh", "-c", "%s"]\n'
    dockerfile = START + "ARG TARGETSTAGE\nARG TARGETPLATFORM\n" + run % (
        "busybox=/bin/busybox; $busybox hostname >/told;"
        " echo $TARGETSTAGE $HTTP_PROXY $http_proxy >>/told"
    ) + "FROM scratch AS named\nCOPY --from=0 /told /\n"  # fmt: skip

    async def work(build: Builder) -> None:
        found = await solved(build, **{"build-arg:http_proxy": "proxy"})
        assert found["told"] == b"buildkitsandbox\ndefault proxy proxy\n"
        found = await solved(build, hostname="mine", target="named")
        assert found["told"] == b"mine\nnamed\n"
        found = await solved(build, **{"build-arg:BUILDKIT_SANDBOX_HOSTNAME": "its", "target": "1"})
        assert found["told"] == b"its\n1\n"

    played(engine, {"Dockerfile": dockerfile}, work)


def test_a_frontend_is_asked_for_what_it_offers(engine: Engine) -> None:
    dockerfile = "ARG A=1\n# one comes first\nFROM scratch AS one\nARG A\nFROM one as two\n"

    async def work(build: Builder) -> None:
        job = {"Ref": "bridge", "Session": build.session}
        solve = asyncio.create_task(
            build.channel.ask(CONTROL + "Solve", messages.SOLVE, messages.SOLVED, job)
        )

        async def ask(**options: str) -> Message:
            request = {"Frontend": "gateway.v0", "FrontendOpt": {"source": "dockerfile.v0"}}
            request["FrontendOpt"] |= {key.replace("_", "."): v for key, v in options.items()}  # type: ignore[operator]
            answer = await build.channel.ask(
                BRIDGE + "Solve", messages.GATEWAY_SOLVE, messages.GATEWAY_SOLVED, request,
                [("buildkit-controlapi-buildid", "bridge")],
            )  # fmt: skip
            found: Message = answer["result"]["metadata"]
            return found

        listed = await ask(requestid="frontend.targets")
        names = [(t["name"], t["default"]) for t in json.loads(listed["result.json"])["targets"]]
        assert names == [("one", False), ("two", True)]
        assert listed["result.txt"] == b"TARGET        DESCRIPTION\none           comes first\n" + (
            b"two (default)\n"
        )
        outlined = json.loads((await ask(requestid="frontend.outline"))["result.json"])
        assert [(arg["name"], arg["value"]) for arg in outlined["args"]] == [("A", "1")]
        linted = json.loads((await ask(requestid="frontend.lint"))["result.json"])
        (warning,) = linted["warnings"]
        assert (warning["ruleName"], bool(warning["description"])) == ("FromAsCasing", True)
        described = await ask(requestid="frontend.subrequests.describe")
        known = [one["name"] for one in json.loads(described["result.json"])]
        assert "frontend.outline" in known
        for options, kind, name in (
            ({"requestid": "frontend.none"}, "Subrequest", "frontend.none"),
            ({"frontend_caps": "moby.x"}, "FrontendCap", "moby.x"),
        ):
            with pytest.raises(grpc.Refused) as refused:
                await ask(**options)
            url, value = refused.value.details[0]
            assert url == f"github.com/moby/buildkit/errdefs.{kind}+json"
            assert json.loads(value) == {"name": name}
        solve.cancel()
        await asyncio.gather(solve, return_exceptions=True)

    played(engine, {"Dockerfile": dockerfile}, work)


def test_warnings_that_end_a_build_are_told_before(engine: Engine) -> None:
    async def work(build: Builder) -> None:
        with pytest.raises(grpc.Refused, match="lint violation found for rules: JSONArgs"):
            await build.solve("violation", TAR)
        told = [w async for m in build.status("violation") for w in m["warnings"]]
        assert [w["short"].split(b":")[0] for w in told] == [b"JSONArgsRecommended"]

    played(engine, {"Dockerfile": f"# check=error=true\n{START}CMD x\n"}, work)
