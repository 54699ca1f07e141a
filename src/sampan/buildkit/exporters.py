"""Where a result goes: an image of this engine, or bytes to the client.

`moby` and `image` make an image here. `docker` and `tar` stream to the client, `local` sends files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine.images import register
from sampan.image import archive
from sampan.kit import errors
from sampan.spec import reference

if TYPE_CHECKING:
    from sampan.buildkit.jobs import Job
    from sampan.buildkit.result import Result

    Message = dict[str, Any]


async def export(job: Job, result: Result, request: Message) -> dict[str, str]:
    wanted = request["Exporters"]
    if not wanted and request["ExporterDeprecated"]:
        attrs = request["ExporterAttrsDeprecated"]
        wanted = [{"Type": request["ExporterDeprecated"], "Attrs": attrs}]
    for exporter in wanted:
        if exporter["Type"] not in ("moby", "image"):
            raise errors.Unsupported(f"the exporter {exporter['Type']} is not supported yet")
    state = await result.state()
    answer: dict[str, str] = {}
    for exporter in wanted:
        answer |= await _image(job, result, state, exporter["Attrs"])
    return answer


async def _image(job: Job, result: Result, state: Any, attrs: dict[str, str]) -> dict[str, str]:
    engine = result.engine
    names = [str(reference.parse(name)) for name in attrs.get("name", "").split(",") if name]
    with job.progress.vertex("exporting to image") as vertex:
        vertex.status("exporting layers", done=True)
        layers = [layer.descriptor for layer in state.layers]
        manifest = archive.write_image(result.lease.store, state.document, layers)
        image_id = await register.register(engine, result.lease, manifest, names)
        vertex.status(f"writing image {image_id}", done=True)
        for name in names:
            vertex.status(f"naming to {name}", done=True)
            engine.events.publish("image", "tag", image_id, {"name": reference.familiar(name)})
    # Like dockerd's own exporter: compose takes the digest for the image's id.
    return {
        "containerimage.config.digest": image_id,
        "containerimage.digest": image_id,
        "image.name": ",".join(names),
    }
