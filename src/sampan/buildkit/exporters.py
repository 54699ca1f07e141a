"""Where a result goes.

`moby` and `image` make an image of this engine, pushed if asked for; `docker`, `oci` and `tar`
become a file of the client, `local` a directory of it. Source: moby/buildkit's docs of exporters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.build import output_options
from sampan.buildkit import cache_store, credentials, filesend
from sampan.engine.builds import cache_elsewhere, outcome
from sampan.image import platforms
from sampan.kit.threads import in_thread
from sampan.spec import reference

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sampan.build.output_options import Output
    from sampan.buildkit.result import Result
    from sampan.engine.builds import Outcome
    from sampan.engine.builds.assembly import Assembled

    Message = dict[str, Any]

_STORE = "export"  # the client's directory of an archive that is none (tar=false)


class Exported:
    """One result on its way to one place."""

    def __init__(self, result: Result, made: Outcome, number: int, output: Output) -> None:
        self.result, self.outcome = result, made
        self.number, self.output = number, output


async def export(result: Result, request: Message) -> dict[str, str]:
    """Raises what is wrong with the request before anything is built."""
    wanted = request["Exporters"]
    if not wanted and request["ExporterDeprecated"]:
        attrs = request["ExporterAttrsDeprecated"]
        wanted = [{"Type": request["ExporterDeprecated"], "Attrs": attrs}]
    outputs = [output_options.parse(one["Type"], one["Attrs"]) for one in wanted]
    made = await result.outcome()
    states = [one.state for one in made.built]
    answer = await cache_elsewhere.give_out(
        result.workshop, states, result.job.exports, result.tell
    )
    for number, output in enumerate(outputs):
        exported = Exported(result, made, number, output)
        answer |= await _EXPORTERS[output.type](exported)
    return answer


async def _image(made: Exported) -> dict[str, str]:
    output = made.output
    with made.result.job.progress.vertex("exporting to image") as vertex:
        vertex.status("exporting layers", done=True)
        assembled = await made.outcome.assembled(output)
        names = [] if output.by_digest else list(output.names)
        if output.canonical:
            names += [_canonical(name, assembled) for name in output.names]
        image_id = await made.outcome.register(assembled, names)
        vertex.status(f"writing image {image_id}", done=True)
        for name in names:
            vertex.status(f"naming to {name}", done=True)
        for name in output.names if output.push else ():
            vertex.status(f"pushing {name}")
            known = await credentials.ask(made.result.session, name)
            await made.outcome.push(assembled, output, name, credentials=known, report=_nobody)
            vertex.status(f"pushing {name}", done=True)
    answer = outcome.told(assembled, output.names)
    if not output.push:
        # Like dockerd's own exporter: compose takes the digest for the image's id.
        answer["containerimage.digest"] = image_id
    return answer


def _canonical(name: str, made: Assembled) -> str:
    return f"{reference.parse(name).repository}@{made.target['digest']}"


async def _archive(made: Exported) -> dict[str, str]:
    output = made.output
    with made.result.job.progress.vertex(f"exporting to {output.type} image format") as vertex:
        assembled = await made.outcome.assembled(output)
        if output.tar:
            chunks = made.outcome.archive(assembled, output)
            size = await filesend.stream_to(made.result.session, made.number, chunks)
            vertex.status("sending tarball", current=size, done=True)
        else:
            vertex.status("copying blobs")
            await _blobs(made, assembled)
    return outcome.told(assembled, output.names)


async def _blobs(made: Exported, assembled: Assembled) -> None:
    """Into a client's layout, whose index.json it writes itself."""
    store, target = made.result.lease.store, str(assembled.target["digest"])
    parts = [
        {"digest": digest, "size": store.size(digest)}
        for digest in platforms.reachable(store, [target])
        if digest != target
    ]
    place = cache_store.Directory(made.result.session, _STORE)
    await place.deliver(store, target, parts)


async def _tar(made: Exported) -> dict[str, str]:
    with made.result.job.progress.vertex("exporting to client tarball") as vertex:
        chunks = await in_thread(made.outcome.tarball, made.output)
        size = await filesend.stream_to(made.result.session, made.number, chunks)
        vertex.status("sending tarball", current=size, done=True)
    return {}


async def _local(made: Exported) -> dict[str, str]:
    tree = await in_thread(made.outcome.tree, made.output)
    with made.result.job.progress.vertex("exporting to client directory") as vertex:
        vertex.status("copying files")
        await filesend.tree_to(made.result.session, made.number, tree)
    return {}


async def _nothing(_: Exported) -> dict[str, str]:
    return {}


async def _nobody(_: Message) -> None:
    """A push is shown by its vertex alone."""


_EXPORTERS: dict[str, Callable[[Exported], Awaitable[dict[str, str]]]] = {
    "moby": _image,
    "image": _image,
    "registry": _image,
    "docker": _archive,
    "oci": _archive,
    "tar": _tar,
    "local": _local,
    "cacheonly": _nothing,
}
