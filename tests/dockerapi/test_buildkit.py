"""BuildKit's protocols through the real socket, by a client of our own that can misbehave."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import socket
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sampan.buildkit import grpc, messages
from tests.buildkit.client import Client
from tests.busybox_image import BUSYBOX
from tests.engine_process import PATIENCE, Engine, head

pytestmark = pytest.mark.needs("mount")

CONTROL = "/moby.buildkit.v1.Control/"
START = "FROM scratch\nCOPY busybox /bin/busybox\n"
SLOW = 'RUN ["/bin/busybox", "sh", "-c", "echo begun; sleep 900"]\n'
_BUSYBOX = Path(BUSYBOX).read_bytes()
Message = dict[str, Any]


def upgrade(engine: Engine, path: str, headers: dict[str, str]) -> socket.socket:
    """Its body is empty, and with `Transfer-Encoding` a chunk says so."""
    sock = engine.connect()
    chunked = "Transfer-Encoding" in headers
    headers = {"Connection": "Upgrade", "Upgrade": "h2c", **headers}
    sock.sendall(head("POST", path, None if chunked else b"", headers))
    sock.sendall(b"0\r\n\r\n" if chunked else b"")
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        assert byte, received
        received += byte
    assert received.startswith(b"HTTP/1.1 101 "), received
    assert b"Upgrade: h2c" in received
    sock.setblocking(False)
    return sock


class Builder:
    def __init__(self, channel: grpc.Channel, session: str) -> None:
        self.channel, self.session = channel, session
        self.written: dict[str, bytes] = {}

    async def solve(self, ref: str, exporters: list[Message], **attrs: str) -> dict[str, str]:
        request = {
            "Ref": ref,
            "Session": self.session,
            "Frontend": "dockerfile.v0",
            "FrontendAttrs": attrs,
            "Exporters": exporters,
        }
        answer = await self.channel.ask(CONTROL + "Solve", messages.SOLVE, messages.SOLVED, request)
        found: dict[str, str] = answer["ExporterResponse"]
        return found

    async def status(self, ref: str) -> AsyncIterator[Message]:
        with grpc.translated():
            async with self.channel.open(
                CONTROL + "Status", messages.STATUS_REQUEST, messages.STATUS_RESPONSE
            ) as stream:
                await stream.send_message({"Ref": ref}, end=True)
                async for message in stream:
                    yield message


@contextlib.asynccontextmanager
async def builder(
    engine: Engine,
    files: dict[str, str],
    session: str = "one",
    client: Client | None = None,
    **more: str,
) -> AsyncIterator[Builder]:
    """`client` may offer more than these; `more`: headers of the session's request."""
    contents = {name: text.encode() for name, text in files.items()}
    client = client or Client()
    client.files = {"busybox": _BUSYBOX, **contents}
    client.piece = 1 << 16
    channel = await grpc.dial(upgrade(engine, "/grpc", {}), b"")
    made = Builder(channel, session)

    async def receive(stream: Any) -> None:
        made.written["file"] = b"".join([message["data"] async for message in stream])

    send = "/moby.filesync.v1.FileSend/DiffCopy"
    client.service.streaming(send, messages.DATA, messages.DATA, receive)
    about = "X-Docker-Expose-Session-"
    headers = {f"{about}Uuid": session, f"{about}Grpc-Method": send, **more}
    sock = upgrade(engine, "/session", headers)
    serving = asyncio.create_task(grpc.serve(sock, b"", [client.service]))
    try:
        yield made
    finally:
        channel.close()
        sock.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def test_a_solve_without_a_gateway_makes_an_image_and_an_archive(engine: Engine) -> None:
    dockerfile = START + "FROM scratch\nCOPY --from=0 / /all/\nLABEL a=b\n"
    exporter = {"Type": "moby", "Attrs": {"name": "session:1"}}

    async def work() -> None:
        async with builder(engine, {"Dockerfile": dockerfile}) as build:
            answer = await build.solve("r1", [exporter], **{"label:c": "d"})
            image = engine.request("GET", "/images/session:1/json")[1]
            assert answer["containerimage.digest"] == image["Id"]
            assert image["Config"]["Labels"] == {"a": "b", "c": "d"}
            await build.solve("r2", [{"Type": "tar", "Attrs": {}}])
            with tarfile.open(fileobj=io.BytesIO(build.written["file"])) as archive:
                assert "all/bin/busybox" in archive.getnames()
            cached = [v async for m in build.status("r2") for v in m["vertexes"] if v["cached"]]
            assert {vertex["name"] for vertex in cached} == {
                "[stage-0 1/1] COPY busybox /bin/busybox",
                "[stage-1 1/1] COPY --from=0 / /all/",
            }

    asyncio.run(work())


def test_a_session_inside_a_call_does_what_one_of_its_own_does(engine: Engine) -> None:
    """As `buildctl` has it, which knows gRPC alone."""

    async def work() -> None:
        channel = await grpc.dial(upgrade(engine, "/grpc", {}), b"")
        inside, outside = socket.socketpair()
        client = Client({"busybox": _BUSYBOX, "Dockerfile": START.encode() + b"LABEL in=call\n"})
        client.piece = 1 << 16
        serving = asyncio.create_task(grpc.serve(inside, b"", [client.service]))
        reader, writer = await asyncio.open_connection(sock=outside)
        about = [("x-docker-expose-session-uuid", "inside")]
        stream = channel.open(CONTROL + "Session", messages.DATA, messages.DATA, about)

        async def up() -> None:
            while data := await reader.read(1 << 15):
                await stream.send_message({"data": data})
            await stream.end()

        async with stream:
            await stream.send_request()
            pump = asyncio.create_task(up())

            async def down() -> None:
                async for message in stream:
                    writer.write(message["data"])

            back = asyncio.create_task(down())
            build = Builder(channel, "inside")
            await build.solve("call", [{"Type": "moby", "Attrs": {"name": "inside:1"}}])
            writer.close()
            serving.cancel()
            await asyncio.gather(pump, back, serving, return_exceptions=True)
        channel.close()

    asyncio.run(work())
    image = engine.request("GET", "/images/inside:1/json")[1]
    assert image["Config"]["Labels"] == {"in": "call"}


def test_an_error_carries_the_lines_it_is_about(engine: Engine) -> None:
    async def work() -> tuple[str, Message]:
        async with builder(engine, {"Dockerfile": START + "ENV\n"}) as build:
            with pytest.raises(grpc.Refused, match="line 3: ENV requires at least") as refused:
                await build.solve("e1", [])
            assert refused.value.details
            url, value = refused.value.details[0]
            return url, json.loads(value)

    url, source = asyncio.run(work())
    assert url == "github.com/moby/buildkit/errdefs.Source+json"
    assert base64.b64decode(source["info"]["data"]).decode() == START + "ENV\n"
    assert source["ranges"] == [{"start": {"line": 3}, "end": {"line": 3}}]


def old_build(engine: Engine, query: str, body: bytes = b"") -> list[Message]:
    """What a docker client of before buildx is told."""
    query = f"version=2&session=old&{query}"
    status, answer = engine.request("POST", f"/build?{query}", body)
    assert status == 200, answer
    lines = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return [json.loads(line) for line in lines.splitlines()]


def test_docker_of_before_buildx_builds_through_its_session(engine: Engine) -> None:
    dockerfile = START + 'ARG A\nRUN ["/bin/busybox", "sh", "-c", "echo $A; exit $A"]\n'

    async def work(query: str) -> list[Message]:
        query = f"remote=client-session&{query}"
        async with builder(engine, {"Dockerfile": dockerfile}, "old"):
            return await asyncio.to_thread(old_build, engine, query)

    def logs(told: list[Message]) -> bytes:
        traces = [one["aux"] for one in told if one.get("id") == "moby.buildkit.trace"]
        statuses = [messages.STATUS_RESPONSE.decode(base64.b64decode(one)) for one in traces]
        return b"".join(log["msg"] for status in statuses for log in status["logs"])

    told = asyncio.run(work("buildid=o1&t=old:1&buildargs=%7B%22A%22:%220%22%7D"))
    assert logs(told) == b"0\n"
    image = engine.request("GET", "/images/old:1/json")[1]
    assert told[-1] == {"id": "moby.image.id", "aux": {"ID": image["Id"]}}
    told = asyncio.run(work("buildid=o2&buildargs=%7B%22A%22:%223%22%7D"))
    assert logs(told) == b"3\n"
    assert "did not complete successfully: exit code: 3" in told[-1]["error"]
    assert engine.request("GET", "/_ping")[0] == 200


def packed(**files: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return written.getvalue()


@pytest.mark.parametrize("order", ["beside", "before", "after"])
def test_a_context_that_comes_as_a_tar(engine: Engine, order: str) -> None:
    """dockerode: beside the query, with a session for credentials only and no id for the build.
    docker on stdin: in a request of its own, before or after the build's."""
    context = packed(Dockerfile="FROM scratch\nCOPY file /\n", file="text")
    name = f"tar:{order}"
    queries = [f"t={name}"]
    if order != "beside":
        more = f"remote=upload-request&buildid={order}"
        queries = [f"{queries[0]}&{more}", f"buildid=upload-request:{order}"]
    bodies = [context] if order == "beside" else [b"", context]

    async def work() -> list[list[Message]]:
        async with builder(engine, {}, "old", **{"Transfer-Encoding": "chunked"}):
            begun = []
            asked = [*zip(queries, bodies, strict=True)]
            for query, body in reversed(asked) if order == "before" else asked:
                begun.append(asyncio.create_task(asyncio.to_thread(old_build, engine, query, body)))
            return await asyncio.gather(*begun)

    told = max(asyncio.run(work()), key=len)
    assert {one["id"] for one in told[:-1]} == {"moby.buildkit.trace"}
    image = engine.request("GET", f"/images/{name}/json")[1]
    assert told[-1] == {"id": "moby.image.id", "aux": {"ID": image["Id"]}}
    assert engine.request("DELETE", f"/images/{name}")[0] == 200


@pytest.mark.parametrize("gone", ["cancelled", "disconnected"])
def test_a_client_that_goes_away_leaves_nothing(engine: Engine, gone: str) -> None:
    before = engine.request("GET", "/containers/json?all=1")[1]

    async def work() -> str:
        async with builder(engine, {"Dockerfile": START + SLOW}, "gone") as build:
            solving = asyncio.create_task(build.solve(f"g {gone}", []))
            async for message in build.status(f"g {gone}"):
                if any(b"begun" in log["msg"] for log in message["logs"]):
                    break
            else:
                raise AssertionError(await solving)
            running = await asyncio.to_thread(engine.request, "GET", "/containers/json")
            if gone == "cancelled":
                solving.cancel()
            else:
                build.channel.close()
            await asyncio.gather(solving, return_exceptions=True)
            (step,) = (one["Id"] for one in running[1] if one["Id"] not in str(before))
            return str(step)

    step = asyncio.run(work())
    with engine.connect() as sock:  # the step's container goes, whenever that is
        filters = quote(json.dumps({"event": ["destroy"], "container": [step]}))
        sock.sendall(head("GET", f"/events?since=1&filters={filters}", None, {}))
        received = b""
        while b"destroy" not in received:
            received += sock.recv(4096)
    assert engine.request("GET", "/containers/json?all=1")[1] == before


@pytest.mark.parametrize(
    ("path", "headers", "why"),
    [
        ("/grpc", {}, "needs an upgrade to h2c"),
        ("/session", {"X-Docker-Expose-Session-Uuid": "x"}, "needs an upgrade to h2c"),
        ("/grpc", {"Connection": "close, Upgrade", "Upgrade": "tcp"}, "needs an upgrade to h2c"),
        ("/session", {"Connection": "close, Upgrade", "Upgrade": "h2c"}, "Session-Uuid"),
    ],
)
def test_what_is_no_upgrade_is_refused(
    engine: Engine, path: str, headers: dict[str, str], why: str
) -> None:
    status, answer = engine.request("POST", path, b"", headers)
    assert status == 400
    assert why in answer["message"]


def test_a_second_session_of_one_name_is_refused(engine: Engine) -> None:
    async def work() -> None:
        async with builder(engine, {}, "twice"):
            headers = {"X-Docker-Expose-Session-Uuid": "twice"}
            status, answer = await asyncio.to_thread(
                engine.request,
                "POST",
                "/session",
                b"",
                {**headers, "Connection": "close, Upgrade", "Upgrade": "h2c"},
            )
            assert (status, answer["message"]) == (409, "session twice already exists")

    asyncio.run(work())


def test_junk_ends_the_connection_that_it_came_on(engine: Engine) -> None:
    sock = upgrade(engine, "/grpc", {})
    sock.settimeout(PATIENCE)
    with sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 9)
        while sock.recv(4096):
            pass  # our preface, then the end
    assert engine.request("GET", "/_ping")[0] == 200


def test_what_builds_keep_is_told_and_forgotten(engine: Engine) -> None:
    async def work() -> None:
        async with builder(engine, {"Dockerfile": START, "x": "1"}, "kept") as build:
            await build.solve("k1", [])
            ask = build.channel.ask
            told = await ask(CONTROL + "DiskUsage", messages.EMPTY, messages.DISK_USAGE, {})
            layer = next(one for one in told["record"] if "COPY busybox" in one["Description"])
            assert layer["RecordType"] == "regular"
            assert layer["Size"] > 100_000
            with grpc.translated():
                async with build.channel.open(
                    CONTROL + "Prune", messages.PRUNE, messages.USAGE
                ) as stream:
                    await stream.send_message({"all": True}, end=True)
                    gone = [one["ID"] async for one in stream]
            assert layer["ID"] in gone
            told = await ask(CONTROL + "DiskUsage", messages.EMPTY, messages.DISK_USAGE, {})
            assert layer["ID"] not in [one["ID"] for one in told["record"]]

    asyncio.run(work())
