"""`POST /build`: the classic builder's face. BuildKit's clients come through `buildkit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi import hijack, own_builds, shapes
from sampan.dockerapi.images import body_chunks
from sampan.dockerapi.progress import Progress
from sampan.dockerapi.router import Routes
from sampan.engine import builds, units
from sampan.engine.builds import usage
from sampan.kit import errors
from sampan.registry import credentials as registry_credentials

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.dockerapi.router import Call

routes = Routes()

_LIMITS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {"cpusetcpus": "CpusetCpus", "cpusetmems": "CpusetMems", "cgroupparent": "CgroupParent"}


@routes.post("/build")
async def build(call: Call) -> web.StreamResponse:
    options = _options(call)
    if isinstance(call.request.protocol, hijack.Protocol):
        call.request.protocol.streaming()  # nobody waits for a build whose client is gone
    # Without a session a tar is all there is, whichever builder was asked for.
    if call.query("version") == "2" and (call.query("session") or call.query("buildid")):
        return await _session_build(call, options)
    async with Progress(call) as report:
        await builds.build(call.engine, body_chunks(call), options, report=report)
    return await report.finish()


async def _session_build(call: Call, options: builds.Options) -> web.StreamResponse:
    from sampan.buildkit import session_build

    async with Progress(call, always=True) as report:
        body = body_chunks(call)
        await session_build.build(call.engine, options, call.request.query, body, report)
    return await report.finish()


@routes.post("/build/prune")
async def prune(call: Call) -> web.StreamResponse:
    filters = call.filters().accept("until", "unused-for", "id")
    ages = [*filters.get("until"), *filters.get("unused-for")]
    limits = usage.Limits(
        every=call.flag("all"),
        idents=tuple(filters.get("id")),
        before=min((units.moment(text) for text in ages), default=None),
        reserved=call.number("keep-storage") or call.number("reserved-space") or 0,
        most=call.number("max-used-space") or 0,
        free=call.number("min-free-space") or 0,
    )
    deleted, size = await usage.prune(call.engine, limits)
    return call.json({"CachesDeleted": deleted or None, "SpaceReclaimed": size})


def _options(call: Call) -> builds.Options:
    if call.flag("squash"):
        raise errors.Unsupported("squash is not supported: an image keeps a layer for each step")
    if call.query("securityopt"):
        raise errors.InvalidArgument(
            "the daemon on this platform does not support setting security options on build"
        )
    return builds.Options(
        dockerfile=call.query("dockerfile") or "Dockerfile",
        remote=call.query("remote"),
        names=tuple(name for name in call.request.query.getall("t", []) if name),
        target=call.query("target"),
        args=_mapping(call, "buildargs"),
        labels=_mapping(call, "labels"),
        no_cache=call.flag("nocache"),
        pull=call.flag("pull"),
        quiet=call.flag("q"),
        platform=call.platform(several=True),
        network=call.query("networkmode"),
        host_config=_host_config(call),
        cache_from=tuple(filter(None, call.document("cachefrom", [shapes.TEXT]) or ())),
        credentials=registry_credentials.from_config_header(
            call.request.headers.get("X-Registry-Config", "")
        ),
        **own_builds.options(call),
    )


def _mapping(call: Call, name: str) -> dict[str, str]:
    """A build argument without a value is null, and as if it were not given."""
    found = call.document(name, shapes.Each(shapes.ANY)) or {}
    return {key: str(value) for key, value in found.items() if value is not None}


def _host_config(call: Call) -> dict[str, Any]:
    host: dict[str, Any] = {}
    for name, key in _LIMITS.items():
        text = call.query(name)
        if text and not text.lstrip("-").isdecimal():
            raise errors.InvalidArgument(f"invalid value for {name}: {text!r}")
        if text and int(text):
            host[key] = int(text)
    host |= {key: call.query(name) for name, key in _TEXTS.items() if call.query(name)}
    hosts = [
        entry
        for text in call.request.query.getall("extrahosts", [])
        for entry in text.split(",")
        if entry
    ]
    if hosts:
        host["ExtraHosts"] = hosts
    if ulimits := call.document("ulimits", shapes.RESOURCES["Ulimits"]):
        host["Ulimits"] = ulimits
    return host
