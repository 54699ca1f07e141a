"""Where a result goes.

`moby` and `image` make an image of this engine, pushed if asked for; `docker`, `oci` and `tar`
become a file of the client, `local` a directory of it. Source: moby/buildkit's docs of exporters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.buildkit import credentials, filesend
from sampan.engine import builds
from sampan.engine.builds import cache_elsewhere, cache_exports
from sampan.engine.images import archives, register
from sampan.image import archive, tar
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.build.files import Files
    from sampan.build.state import State
    from sampan.buildkit.result import Result

    Message = dict[str, Any]
    Write = Callable[[bytes], object]


class Exported:
    """One result on its way to one place."""

    def __init__(self, result: Result, state: State, number: int, attrs: dict[str, str]) -> None:
        self.result, self.state = result, state
        self.number, self.attrs = number, attrs
        self.names = [str(reference.parse(n)) for n in attrs.get("name", "").split(",") if n]

    def true(self, name: str) -> bool:
        return self.attrs.get(name, "").lower() in ("1", "t", "true")


async def export(result: Result, request: Message) -> dict[str, str]:
    """Raises Unsupported before anything is built."""
    wanted = request["Exporters"]
    if not wanted and request["ExporterDeprecated"]:
        attrs = request["ExporterAttrsDeprecated"]
        wanted = [{"Type": request["ExporterDeprecated"], "Attrs": attrs}]
    for one in wanted:
        if one["Type"] not in _EXPORTERS:
            raise errors.Unsupported(f"the exporter {one['Type']} is not supported yet")
    state = await result.state()
    answer = await cache_elsewhere.give_out(
        result.workshop, [state], result.job.exports, result.tell
    )
    if builds.carries_cache(result.options):
        state = cache_exports.inline(result.workshop.caching, state)
    for number, one in enumerate(wanted):
        made = Exported(result, state, number, one["Attrs"])
        answer |= await _EXPORTERS[one["Type"]](made)
    return answer


def _manifest(made: Exported) -> str:
    layers = [layer.descriptor for layer in made.state.layers]
    return archive.write_image(made.result.lease.store, made.state.document, layers)


async def _image(made: Exported) -> dict[str, str]:
    engine, lease = made.result.engine, made.result.lease
    with made.result.job.progress.vertex("exporting to image") as vertex:
        vertex.status("exporting layers", done=True)
        manifest = _manifest(made)
        image_id = await register.register(engine, lease, manifest, made.names)
        vertex.status(f"writing image {image_id}", done=True)
        for name in made.names:
            vertex.status(f"naming to {name}", done=True)
            shown = reference.familiar(name)
            engine.events.publish("image", "tag", image_id, {"name": shown})
        for name in made.names if made.true("push") else ():
            vertex.status(f"pushing {name}")
            await engine.images.push(
                name,
                credentials=await credentials.ask(made.result.session, name),
                report=_nobody,
            )
            vertex.status(f"pushing {name}", done=True)
    # Like dockerd's own exporter: compose takes the digest for the image's id.
    return {
        "containerimage.config.digest": image_id,
        "containerimage.digest": image_id,
        "image.name": ",".join(made.names),
    }


async def _archive(made: Exported) -> dict[str, str]:
    with made.result.job.progress.vertex("exporting to docker image format") as vertex:
        manifest = _manifest(made)
        saved = [archive.Saved(digest=manifest, names=tuple(made.names))]
        store = made.result.lease.store
        chunks = archives.produced(lambda write: archive.save(store, saved, write))
        size = await filesend.stream_to(made.result.session, made.number, chunks)
        vertex.status("sending tarball", current=size, done=True)
    return {
        "containerimage.config.digest": made.state.image_id,
        "containerimage.digest": manifest,
        "image.name": ",".join(made.names),
    }


async def _tar(made: Exported) -> dict[str, str]:
    tree = await in_thread(made.result.tree, made.state)
    with made.result.job.progress.vertex("exporting to client tarball") as vertex:
        chunks = archives.produced(lambda write: _write_tar(tree, write))
        size = await filesend.stream_to(made.result.session, made.number, chunks)
        vertex.status("sending tarball", current=size, done=True)
    return {}


def _write_tar(tree: Files, write: Write) -> None:
    writer = tar.Writer(write)
    for path in filesend.below(tree):
        entry = tree.entry(path)
        if entry is None:
            continue
        entry.name = path
        writer.begin(entry)
        if entry.kind == tar.REGULAR and entry.size:
            tree.copy(path, write)
            writer.pad(entry.size)
    writer.finish()


async def _local(made: Exported) -> dict[str, str]:
    tree = await in_thread(made.result.tree, made.state)
    with made.result.job.progress.vertex("exporting to client directory") as vertex:
        vertex.status("copying files")
        await filesend.tree_to(made.result.session, made.number, tree)
    return {}


async def _nobody(_: Message) -> None:
    """A push is shown by its vertex alone."""


_EXPORTERS: dict[str, Callable[[Exported], Awaitable[dict[str, str]]]] = {
    "moby": _image,
    "image": _image,
    "docker": _archive,
    "oci": _archive,
    "tar": _tar,
    "local": _local,
}
