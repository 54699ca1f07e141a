"""Routes whose answers are streams of a container's output: attach, logs, exec; and events."""

from __future__ import annotations

import asyncio
import binascii
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from sampan.dockerapi import hijack, shapes
from sampan.dockerapi.containers import container_of, size_of
from sampan.dockerapi.router import Routes, to_json
from sampan.engine import events
from sampan.engine.containers import attach, exec, logs
from sampan.engine.monitors import Client
from sampan.kit import clock, errors
from sampan.shim import parsing, protocol

if TYPE_CHECKING:
    from sampan.dockerapi.router import Call

routes = Routes()
_NOT_STARTED = "unable to start container process"


def _content_type(call: Call, *, tty: bool) -> str:
    """Docker says which of both it is since API 1.42."""
    return hijack.MULTIPLEXED if not tty and call.version >= (1, 42) else hijack.RAW


@routes.post("/containers/{id}/attach")
async def attach_(call: Call) -> web.StreamResponse:
    container = container_of(call)
    attach.check(container)
    wanted = protocol.Attach(
        stdin=call.flag("stdin") and bool(container.config.get("OpenStdin")),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        multiplexed=not container.tty,
        detach_keys=call.query("detachKeys") or protocol.DEFAULT_DETACH_KEYS,
    )
    parsing.detach_keys(wanted.detach_keys)  # refused while there is still HTTP to say so
    # One that never ran has said nothing; reading its logs would only let a start that follows the
    # answer at once overtake the attach, and lose what a short command says.
    spoken = container.started_at != clock.ZERO
    taken = await hijack.upgrade(call, _content_type(call, tty=container.tty))
    client = _client(taken, wanted)
    if call.flag("logs") and spoken:
        await _send_logs(call, client)
    if call.flag("stream"):
        await attach.attach(container, client)
    else:
        taken.socket.close()
    return taken


@routes.get("/containers/{id}/attach/ws")
async def attach_websocket(call: Call) -> web.StreamResponse:
    """The same over a websocket: binary messages of raw output, typed text the other way."""
    container = container_of(call)
    attach.check(container)
    wanted = protocol.Attach(
        stdin=call.flag("stdin") and bool(container.config.get("OpenStdin")),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        multiplexed=False,
        detach_keys=call.query("detachKeys") or protocol.DEFAULT_DETACH_KEYS,
    )
    parsing.detach_keys(wanted.detach_keys)
    spoken = container.started_at != clock.ZERO
    response = web.WebSocketResponse()
    await response.prepare(call.request)
    if call.flag("logs") and spoken:
        said = logs.Options(stdout=wanted.stdout, stderr=wanted.stderr, multiplexed=False)
        async for chunk in logs.read(container, said):
            await response.send_bytes(chunk)
    if call.flag("logs") and not call.flag("stream"):
        await response.close()
        return response
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    await attach.attach(container, Client(socket=theirs, attach=wanted))
    reader, writer = await asyncio.open_connection(sock=ours)
    typing = asyncio.create_task(_typed(response, writer))
    try:
        while chunk := await reader.read(hijack.CHUNK):
            await response.send_bytes(chunk)
        await response.close()
    except ConnectionError:
        pass  # the client went away
    finally:
        typing.cancel()
        writer.close()
    return response


async def _typed(response: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    async for message in response:
        if message.type in (web.WSMsgType.TEXT, web.WSMsgType.BINARY):
            data = message.data
            writer.write(data.encode() if isinstance(data, str) else data)
            await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _client(taken: hijack.Hijacked, wanted: protocol.Attach) -> Client:
    pending = binascii.b2a_base64(taken.pending, newline=False).decode()
    return Client(socket=taken.socket, attach=wanted.replace(pending=pending))


async def _send_logs(call: Call, client: Client) -> None:
    """What was said before, ahead of what comes."""
    container, loop = container_of(call), asyncio.get_running_loop()
    options = logs.Options(
        stdout=client.attach.stdout,
        stderr=client.attach.stderr,
        multiplexed=client.attach.multiplexed,
    )
    async for chunk in logs.read(container, options):
        await loop.sock_sendall(client.socket, chunk)


@routes.get("/containers/{id}/logs")
async def logs_(call: Call) -> web.StreamResponse:
    container = container_of(call)
    tail = call.query("tail", "all")
    options = logs.Options(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
        since=_since(call.query("since")),
        until=_since(call.query("until")),
        tail=int(tail) if tail.isdecimal() else None,
        multiplexed=not container.tty,
    )
    logs.check(container, options)
    response = await call.stream(_content_type(call, tty=container.tty))
    async for chunk in logs.read(container, options):
        await response.write(chunk)
    await response.write_eof()
    return response


def _since(text: str) -> int | None:
    """0 is Docker's way of saying nothing."""
    return events.parse_time(text) or None


@routes.post("/containers/{id}/exec")
async def create_exec(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.EXEC)
    made = await exec.create(container_of(call), body)
    return call.json({"Id": made.id}, status=201)


@routes.post("/exec/{id}/start")
async def start_exec(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.EXEC_START)
    process = exec.get(call.engine, call["id"])
    exec.check_start(process)
    given = body.get("ConsoleSize") or process.config.get("ConsoleSize") or []
    size = (given[0], given[1]) if len(given) == 2 else None
    if body.get("Detach"):
        try:
            await exec.run(process, None, size)
        except errors.NotFound as error:  # 404 would mean the exec
            raise errors.InvalidArgument(f"OCI runtime exec failed: {error}") from error
        return web.Response()
    wanted = protocol.Attach(
        stdin=bool(process.config.get("AttachStdin")),
        stdout=bool(process.config.get("AttachStdout")),
        stderr=bool(process.config.get("AttachStderr")),
        multiplexed=not body.get("Tty"),  # the start's word, whatever the exec was made with
        detach_keys=process.config.get("DetachKeys") or protocol.DEFAULT_DETACH_KEYS,
    )
    taken = await hijack.upgrade(call, _content_type(call, tty=process.tty))
    client = _client(taken, wanted)
    try:
        await exec.run(process, client, size)
    except errors.SampanError as error:
        await _say(client, f"OCI runtime exec failed: exec failed: {_NOT_STARTED}: {error}\r\n")
    finally:
        taken.socket.close()
    return taken


async def _say(client: Client, text: str) -> None:
    """An error after the upgrade can only be told in the stream itself."""
    import asyncio

    from sampan.spec import docker_stream

    data = text.encode()
    if client.attach.multiplexed:
        data = docker_stream.encode(docker_stream.Frame(stream=1, payload=data))
    try:
        await asyncio.get_running_loop().sock_sendall(client.socket, data)
    except OSError:
        pass


@routes.post("/exec/{id}/resize")
async def resize_exec(call: Call) -> web.StreamResponse:
    rows, columns = size_of(call)
    await exec.resize(exec.get(call.engine, call["id"]), rows, columns)
    return web.Response()


@routes.get("/exec/{id}/json")
async def inspect_exec(call: Call) -> web.StreamResponse:
    return call.json(exec.inspect(exec.get(call.engine, call["id"])))


@routes.get("/events")
async def events_(call: Call) -> web.StreamResponse:
    filters = call.filters()  # an unknown one selects nothing, as with dockerd
    since, until = events.parse_time(call.query("since")), events.parse_time(call.query("until"))
    if since and until and since > until:
        raise errors.InvalidArgument(
            f"`since` time ({call.query('since')}) cannot be after `until` time "
            f"({call.query('until')})"
        )
    response = await call.stream()
    async for event in call.engine.events.listen(filters, since=since, until=until):
        await response.write(to_json(event))
    await response.write_eof()
    return response
