"""What builds have beyond Docker's API.

`POST /sampan/build/secrets` takes a JSON object, id → base64, and answers {"Token"}: the secrets
wait in memory for the one build that names the token (`POST /build?secrets=TOKEN`). Further words
of that query: `cacheimports` and `cacheexports` (JSON, a list of {"Type", "Attrs"} as BuildKit has
them; a directory is named by a token, see below), `contexts` (JSON, name → docker-image://NAME, an
address, or local:DIRECTORY of the context's tar), `context` (a token, see below), `agents` (JSON,
id → the path of an ssh agent's socket on this machine), and, each repeatable, `allow` and
`nocachefilter`. `explain=1` tells why each step is done again.

`POST /sampan/build/contexts` takes {"Directory", "Identity"} and answers {"Token"}: the build that
names the token (`POST /build?context=TOKEN`) reads that directory where it lies, and its body is
empty. Only root or the engine's own user may ask, through a Unix socket, and `Identity` has to be
what `build.local.identity` gives there: who sees other files at that path sends them.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING, Any, TypeVar

from sampan.build import cache_options, local, output_options, provenance, providers
from sampan.dockerapi import shapes
from sampan.dockerapi.router import Routes
from sampan.engine import builds
from sampan.engine import errors as nouns
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from sampan.dockerapi.router import Call

routes = Routes()
T = TypeVar("T")

_ENTRY = {"Type": shapes.TEXT, "Attrs": shapes.Each(shapes.TEXT)}
_MOST = 64  # builds whose secrets wait; beyond them the oldest are forgotten
_waiting: dict[str, dict[str, bytes]] = {}
_directories: dict[str, str] = {}  # that builds may read


@routes.post("/sampan/build/secrets")
async def keep(call: Call) -> web.StreamResponse:
    body = await call.body(shapes.Each(shapes.TEXT))
    try:
        values = {key: base64.b64decode(text, validate=True) for key, text in body.items()}
    except ValueError:
        raise errors.InvalidArgument("secrets: a JSON object of base64 texts is wanted") from None
    return call.json({"Token": _kept(_waiting, values)})


@routes.post("/sampan/build/contexts")
async def lend(call: Call) -> web.StreamResponse:
    body = await call.body({"Directory": shapes.TEXT, "Identity": shapes.TEXT})
    directory = body.get("Directory", "")
    transport = call.request.transport
    user = peer(transport.get_extra_info("socket")) if transport else None
    if user is None or user not in (0, os.geteuid()):
        raise nouns.NotPermitted(
            "a directory is read where it lies for root or the engine's own user alone,"
            " and through a Unix socket: send it"
        )
    try:
        same = local.identity(directory) == body.get("Identity")
    except OSError as error:
        raise errors.InvalidArgument(f"{directory}: {(error.strerror or '').lower()}") from error
    if not same or not directory.startswith("/"):
        raise errors.Conflict(f"{directory}: the engine sees another directory there: send it")
    return call.json({"Token": _kept(_directories, directory)})


@routes.get("/sampan/build/outputs/{token}")
async def output(call: Call) -> web.StreamResponse:
    return await call.tar(await builds.kept.chunks(call["token"], call.number("number") or 0))


@routes.delete("/sampan/build/outputs/{token}")
async def given_up(call: Call) -> web.StreamResponse:
    builds.kept.drop(call["token"])
    return call.empty(204)


def peer(sock: socket.socket | None) -> int | None:
    """The user id at the other end of a Unix socket that has a name, unix(7); what comes through
    TLS has none: it is a pair of our own."""
    if sock is None or sock.family != socket.AF_UNIX or not sock.getsockname():
        return None
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return None if pid in (0, os.getpid()) else int(uid)


def _kept(waiting: dict[str, T], value: T) -> str:
    token = secrets.token_hex(16)
    waiting[token] = value
    for old in list(waiting)[:-_MOST]:
        del waiting[old]
    return token


def options(call: Call) -> dict[str, Any]:
    """The fields of a build's options that Docker does not have."""
    texts = shapes.Each(shapes.TEXT)
    given = _taken(_waiting, call.query("secrets"), "the secrets'")
    return {
        "directory": _taken(_directories, call.query("context"), "the context's") or "",
        "contexts": call.document("contexts", texts) or {},
        "agents": providers.LocalAgents(call.document("agents", texts) or {}),
        "secrets": providers.GivenSecrets(given or {}),
        "allowed": frozenset(call.request.query.getall("allow", [])),
        "explain": call.flag("explain"),
        "outputs": tuple(
            output_options.parse(
                str(one.get("Type") or ""),
                one.get("Attrs") or {},
                call.request.query.getall("t", []),
            )
            for one in call.document("outputs", [_ENTRY]) or ()
        ),
        "provenance": provenance.parse(call.query("provenance"))
        if call.query("provenance")
        else None,
        "imports": tuple(
            cache_options.parse_import(kind, attrs)
            for kind, attrs in _caches(call, "cacheimports", "src")
        ),
        "exports": tuple(
            cache_options.parse_export(kind, attrs)
            for kind, attrs in _caches(call, "cacheexports", "dest")
        ),
        "no_cache_stages": tuple(call.request.query.getall("nocachefilter", [])),
    }


def _caches(call: Call, name: str, place: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Type and attributes of each; a directory is named by a token, like a context's."""
    for given in call.document(name, [_ENTRY]) or ():
        attrs = dict(given.get("Attrs") or {})
        if given.get("Type") == "local":
            attrs[place] = _taken(_directories, attrs.get(place, ""), "the cache's") or ""
        yield str(given.get("Type") or ""), attrs


def _taken(waiting: dict[str, T], token: str, what: str) -> T | None:
    if not token:
        return None
    if token not in waiting:
        raise errors.InvalidArgument(f"{what} token is unknown: it serves one build")
    return waiting.pop(token)
