"""`/images`, `/commit`, `/distribution`: from list and inspect to pull, push, load and save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.dockerapi import shapes
from sampan.dockerapi.progress import Progress
from sampan.dockerapi.router import Call, Routes
from sampan.engine.images import pull
from sampan.image import choice
from sampan.kit import clock, errors
from sampan.registry import credentials as registry_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from sampan.engine.engine import Engine
    from sampan.engine.images import Image, Summary
    from sampan.registry.auth import Credentials

routes = Routes()

LIST_FILTERS = ("dangling", "label", "label!", "before", "since", "reference", "until")


def credentials(call: Call) -> Credentials | None:
    """Those of `X-Registry-Auth`. Clients also send junk for "none", which dockerd ignores, too."""
    try:
        return registry_credentials.from_header(call.request.headers.get("X-Registry-Auth", ""))
    except errors.InvalidArgument:
        return None


async def body_chunks(call: Call) -> AsyncIterator[bytes]:
    async for chunk in call.request.content.iter_any():
        yield chunk


@routes.get("/images/json")
async def list_(call: Call) -> web.StreamResponse:
    images = call.engine.images
    found = images.list(
        call.filters().accept(*LIST_FILTERS),
        shared=call.flag("shared-size"),
        between=call.flag("all"),
    )
    told = [summary_json(image) for image in found]
    if call.version >= (1, 47) and call.flag("manifests"):
        for entry in told:
            entry["Descriptor"] = images.target(entry["Id"])
            entry["Manifests"] = images.manifests(entry["Id"])
    return call.json(told)


def summary_json(image: Summary) -> dict[str, Any]:
    return {
        "Containers": image.containers,
        "Created": clock.parse(image.created) // 1_000_000_000 if image.created else 0,
        "Id": image.id,
        "Labels": image.labels or None,
        "ParentId": image.parent,
        "RepoDigests": list(image.digests),
        "RepoTags": list(image.tags),
        "SharedSize": image.shared,
        "Size": image.size,
        "VirtualSize": image.size,
    }


@routes.post("/images/create")
async def create(call: Call) -> web.StreamResponse:
    source = call.query("fromSrc")
    if source:
        return await _import(call, source)
    name = call.query("fromImage")
    if not name:
        raise errors.InvalidArgument("no image name: give fromImage or fromSrc")
    if tag := call.query("tag"):
        name = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    known, platform = credentials(call), call.platform()
    async with Progress(call) as report:
        for one in await pull.each(call.engine, name, known):
            await call.engine.images.pull(
                one,
                platform=platform,
                every=call.flag("all-platforms"),
                lazily=call.flag("lazy") if call.query("lazy") else None,
                credentials=known,
                report=report,
            )
    return await report.finish()


async def _import(call: Call, source: str) -> web.StreamResponse:
    if source != "-":
        raise errors.Unsupported(f"import from {source} is not supported; send the archive instead")
    name = call.query("repo")
    if name and (tag := call.query("tag")):
        name = f"{name}:{tag}"
    async with Progress(call) as report:
        image_id = await call.engine.images.import_(
            body_chunks(call),
            name,
            changes=call.request.query.getall("changes", []),
            message=call.query("message"),
            platform=call.platform(),
        )
        await report({"status": image_id})
    return await report.finish()


@routes.post("/images/load")
async def load(call: Call) -> web.StreamResponse:
    async with Progress(call, quiet=call.flag("quiet"), always=True) as report:
        await call.engine.images.load(body_chunks(call), platform=call.platform(), report=report)
    return await report.finish()


@routes.get("/images/get")
async def save_many(call: Call) -> web.StreamResponse:
    names = [name for value in call.request.query.getall("names", []) for name in value.split(",")]
    return await _save(call, names)


@routes.get("/images/{name:.*}/get")
async def save_one(call: Call) -> web.StreamResponse:
    return await _save(call, [call["name"]])


async def _save(call: Call, names: list[str]) -> web.StreamResponse:
    if not names:
        raise errors.InvalidArgument("no image name: give names")
    archive = call.engine.images.save(  # refuses unknown names before the answer begins
        names, platform=call.platform(), every=call.flag("all-platforms")
    )
    return await call.tar(archive)


@routes.post("/images/prune")
async def prune(call: Call) -> web.StreamResponse:
    filters = call.filters().accept("dangling", "label", "label!", "until")
    deleted, reclaimed = await call.engine.images.prune(filters)
    return call.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": reclaimed})


@routes.get("/images/{name:.*}/json")
async def inspect(call: Call) -> web.StreamResponse:
    images, name = call.engine.images, call["name"]
    told = _inspect(call.engine, images.get(name), images.for_platform(name, call.platform()))
    if call.version >= (1, 48):
        told["Descriptor"] = images.target(name)
        if call.flag("manifests"):
            told["Manifests"] = images.manifests(name)
    if call.version < (1, 45):  # fields that Docker dropped then, and old clients read
        config = images.get(name).config
        made_in = {**told["Config"], **(config.get("container_config") or {})}
        told |= {"Container": config.get("container", ""), "ContainerConfig": made_in}
    return call.json(told)


def _inspect(engine: Engine, named: Image, image: Image) -> dict[str, Any]:
    config, summary = image.config, engine.images.summary(named.id)
    inner = config.get("config") or {}
    return {
        "Id": image.id,
        "RepoTags": [tag for tag in summary.tags if tag != "<none>:<none>"],
        "RepoDigests": list(summary.digests),
        "Parent": summary.parent,
        "Comment": _last_comment(config),
        "Created": config.get("created") or clock.ZERO,
        "DockerVersion": config.get("docker_version", ""),
        "Author": config.get("author", ""),
        "Config": docker_config(inner),
        "Architecture": config.get("architecture", ""),
        "Variant": config.get("variant", ""),
        "Os": config.get("os", "linux"),
        "Size": summary.size,
        "VirtualSize": summary.size,
        "GraphDriver": {
            "Name": choice.docker_name(engine.snapshots.name),
            "Data": engine.snapshots.layer_places(image.chain_id),
        },
        "RootFS": {"Type": "layers", "Layers": (config.get("rootfs") or {}).get("diff_ids") or []},
        "Metadata": {"LastTagTime": engine.images.last_tagged(named.id)},
    }


def docker_config(inner: dict[str, Any]) -> dict[str, Any]:
    """An OCI image's `config` in the shape of Docker's `Config`, all fields present."""
    return {
        "Hostname": "",
        "Domainname": "",
        "User": inner.get("User", ""),
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        **({"ExposedPorts": inner["ExposedPorts"]} if inner.get("ExposedPorts") else {}),
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": inner.get("Env"),
        "Cmd": inner.get("Cmd"),
        **({"Healthcheck": inner["Healthcheck"]} if inner.get("Healthcheck") else {}),
        "Image": "",
        "Volumes": inner.get("Volumes"),
        "WorkingDir": inner.get("WorkingDir", ""),
        "Entrypoint": inner.get("Entrypoint"),
        "OnBuild": inner.get("OnBuild"),
        "Labels": dict(sorted(labels.items())) if (labels := inner.get("Labels")) else labels,
        **({"StopSignal": inner["StopSignal"]} if inner.get("StopSignal") else {}),
        **({"Shell": inner["Shell"]} if inner.get("Shell") else {}),
    }


def _last_comment(config: dict[str, Any]) -> str:
    history = config.get("history") or [{}]
    return str(history[-1].get("comment") or "")


@routes.get("/images/{name:.*}/history")
async def history(call: Call) -> web.StreamResponse:
    return call.json(call.engine.images.history(call["name"], platform=call.platform()))


@routes.post("/images/{name:.*}/push")
async def push(call: Call) -> web.StreamResponse:
    name = call["name"]
    if tag := call.query("tag"):
        repository, colon, last = name.rpartition(":")  # a tag in the name gives way
        name = f"{repository if colon and '/' not in last else name}:{tag}"
    async with Progress(call) as report:
        await call.engine.images.push(
            name,
            platform=call.platform(),
            every=call.flag("all-platforms"),
            credentials=credentials(call),
            report=report,
        )
    return await report.finish()


@routes.post("/images/{name:.*}/tag")
async def tag(call: Call) -> web.StreamResponse:
    repository = call.query("repo")
    if not repository:
        raise errors.InvalidArgument("no repository name: give repo")
    if wanted := call.query("tag"):
        repository = f"{repository}:{wanted}"
    call.engine.images.tag(call["name"], repository)
    return call.empty(201)


@routes.delete("/images/{name:.*}")
async def remove(call: Call) -> web.StreamResponse:
    wanted = call.platforms() if call.version >= (1, 50) else []
    if wanted:
        return call.json(await call.engine.images.remove_platforms(call["name"], wanted))
    removed = await call.engine.images.remove(
        call["name"], force=call.flag("force"), prune=not call.flag("noprune")
    )
    return call.json(removed)


@routes.post("/commit")
async def commit(call: Call) -> web.StreamResponse:
    name = call.query("repo")
    if name and (wanted := call.query("tag")):
        name = f"{name}:{wanted}"
    config = await call.body(shapes.CONFIG)
    image_id = await call.engine.images.commit(
        call.query("container"),
        name,
        author=call.query("author"),
        comment=call.query("comment"),
        changes=call.request.query.getall("changes", []),
        config=config,
        pause=call.flag("pause", True),
    )
    return call.json({"Id": image_id}, 201)
