"""`build`: one build from its context to an image.

The build is blocking and has threads; what it needs of the engine it asks the event loop for. A
client that goes away cancels: the running steps' containers are removed, no other step begins.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sampan.build import dockerfile, local, scope, solve
from sampan.engine.builds import cache_elsewhere, cache_exports, contexts, scratch
from sampan.engine.builds.options import Options
from sampan.engine.builds.told import Classic, Silent
from sampan.engine.builds.workshop import Workshop
from sampan.engine.images import archives, parents, register
from sampan.image import archive
from sampan.kit.threads import in_thread
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.build.files import Files
    from sampan.build.progress import Progress
    from sampan.build.state import State
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease

__all__ = ["Options", "Workshop", "build", "carries_cache", "request_of", "solved"]


async def build(
    engine: Engine, chunks: AsyncIterator[bytes], options: Options, *, report: Report
) -> str:
    """The new image's id. Tells everything as the classic builder does."""
    names = [str(reference.parse(name)) for name in options.names]
    with ExitStack() as held:
        place = await in_thread(held.enter_context, scratch.directory(engine.paths.root))
        lease = held.enter_context(engine.images.lease("build"))
        context: Files
        if options.directory:
            root, directory = engine.paths.root, options.directory
            context = await in_thread(contexts.lying, root, directory, options.dockerfile)
        elif options.remote:
            context = await in_thread(contexts.fetched, options.remote, place)
        else:
            async with archives.piped(chunks) as stream:
                context = await in_thread(contexts.streamed, stream, place)
        workshop = Workshop(engine, lease, place, options, report)
        told = Silent() if options.quiet else Classic(workshop.say)
        request = await in_thread(_request, context, options, place)
        told.expect(solve.stages_of(request))
        try:
            tell = cache_elsewhere.classic(report, quiet=options.quiet)
            made = await solved(request, workshop, told, options, tell)
        finally:
            if isinstance(context, local.Directory):
                await in_thread(contexts.saved, engine.paths.root, context)
        await cache_elsewhere.give_out(workshop, [made], options.exports, tell)
        if carries_cache(options):
            made = cache_exports.inline(workshop.caching, made)
        image_id = await _registered(engine, lease, made, names)
    await report({"aux": {"ID": image_id}})
    short = image_id.partition(":")[2][:12]
    await report({"stream": f"{image_id}\n" if options.quiet else f"Successfully built {short}\n"})
    for name in names if not options.quiet else ():
        await report({"stream": f"Successfully tagged {reference.familiar(name)}\n"})
    return image_id


async def _registered(engine: Engine, lease: Lease, made: State, names: list[str]) -> str:
    layers = [layer.descriptor for layer in made.layers]
    manifest = archive.write_image(lease.store, made.document, layers)
    base = parents.base(engine.db, made.document)
    image_id = await register.register(engine, lease, manifest, names, parent=base)
    for name in names:
        engine.events.publish("image", "tag", image_id, {"name": reference.familiar(name)})
    return image_id


def carries_cache(options: Options) -> bool:
    """Whether the image is to have its cache in it; the argument is BuildKit's."""
    asked = options.args.get("BUILDKIT_INLINE_CACHE", "").lower() in ("1", "t", "true")
    return asked or any(one.type == "inline" for one in options.exports)


async def solved(
    request: solve.Request,
    workshop: Workshop,
    progress: Progress,
    options: Options,
    tell: cache_elsewhere.Tell,
) -> State:
    """The target's state; cancelled, it has left nothing behind when it is raised."""
    request = request.replace(cache_from=await workshop.caches())
    await cache_elsewhere.take_in(workshop, options.imports, tell)
    work = asyncio.create_task(in_thread(solve.solve, request, workshop, progress))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        workshop.leave()
        await asyncio.gather(work, return_exceptions=True)
        raise


def _request(context: Files, options: Options, place: str) -> solve.Request:
    text = contexts.dockerfile(context, options.dockerfile)
    matcher = contexts.ignored(context, options.dockerfile)
    named = contexts.named(context, options.contexts, place)
    request = request_of(text, contexts.visible(context, matcher), options)
    return request.replace(ignored=matcher, contexts=named)


def request_of(text: str, context: Files, options: Options) -> solve.Request:
    """`text` is the Dockerfile's; `context` has no more than `.dockerignore` leaves."""
    wanted = options.platform
    runs_on = oci_image.parse_platform(wanted) if wanted else oci_image.host_platform()
    return solve.Request(
        dockerfile=dockerfile.parse(text),
        context=context,
        platform=scope.Platform(
            os=runs_on.os, architecture=runs_on.architecture, variant=runs_on.variant
        ),
        target=options.target,
        args=options.args,
        labels=options.labels,
        no_cache=options.no_cache,
        no_cache_stages=options.no_cache_stages,
        explain=options.explain,
        network=options.network,
        allowed=options.allowed,
    )
