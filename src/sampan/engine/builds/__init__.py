"""`build`: one build from its context to an image.

The build is blocking and has threads; what it needs of the engine it asks the event loop for. A
client that goes away cancels: the running steps' containers are removed, no other step begins.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from sampan.build import dockerfile, local, provenance, scope, solve
from sampan.engine.builds import cache_elsewhere, contexts, scratch
from sampan.engine.builds.assembly import Built
from sampan.engine.builds.options import Options
from sampan.engine.builds.outcome import Outcome
from sampan.engine.builds.outputs import classic, kept
from sampan.engine.builds.told import Classic, Silent, Turns
from sampan.engine.builds.workshop import Workshop
from sampan.engine.images import archives
from sampan.kit import errors
from sampan.kit.threads import in_own_thread, in_thread
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sampan.build.files import Files
    from sampan.build.progress import Progress
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.spec.oci_image import Platform

__all__ = ["Built", "Options", "Outcome", "Workshop", "build", "kept", "request_of", "solved"]


async def build(
    engine: Engine, chunks: AsyncIterator[bytes], options: Options, *, report: Report
) -> str:
    """The new image's id. Tells everything as the classic builder does."""
    with ExitStack() as held:
        place = await in_thread(held.enter_context, scratch.directory(engine.paths.root))
        lease = held.enter_context(engine.images.lease("build"))
        workshop = Workshop(engine, lease, place, options, report)
        context: Files
        if options.directory:
            root, directory = engine.paths.root, options.directory
            context = await in_thread(contexts.lying, root, directory, options.dockerfile)
        elif options.remote:
            note = workshop.material
            context = await in_thread(contexts.fetched, options.remote, place, note)
        else:
            async with archives.piped(chunks) as stream:
                context = await in_own_thread(contexts.streamed, stream, place)
        request = await in_thread(_request, context, options, place)
        tell = cache_elsewhere.classic(report, quiet=options.quiet)
        wanted = platforms(options)
        turns = Turns(workshop.say, wanted)

        def told(platform: Platform) -> Progress:
            if options.quiet:
                return Silent()
            say, end = partial(turns.say, platform), partial(turns.end, platform)
            heading = f"Platform {platform}\n" if len(wanted) > 1 else ""
            return Classic(say, solve.numbers_of(request), heading=heading, end=end)

        try:
            outcome = await solved(request, workshop, options, told, tell)
        finally:
            if isinstance(context, local.Directory):
                await in_thread(contexts.saved, engine.paths.root, context)
        states = [one.state for one in outcome.built]
        await cache_elsewhere.give_out(workshop, states, options.exports, tell)
        image_id, names = await classic(outcome, held, report)
    short = image_id.partition(":")[2][:12]
    await report({"stream": f"{image_id}\n" if options.quiet else f"Successfully built {short}\n"})
    for name in names if not options.quiet else ():
        await report({"stream": f"Successfully tagged {reference.familiar(name)}\n"})
    return image_id


def platforms(options: Options) -> list[Platform]:
    """What is built, in the order that was asked for."""
    texts = [text for text in options.platform.split(",") if text]
    found = [oci_image.normal(oci_image.parse_platform(text.strip())) for text in texts]
    return [*dict.fromkeys(found)] or [oci_image.host_platform()]


async def solved(
    request: solve.Request,
    workshop: Workshop,
    options: Options,
    told: Callable[[Platform], Progress],
    tell: cache_elsewhere.Tell,
) -> Outcome:
    """All platforms, as many at once as there are processors; what they share is made once.
    Cancelled, or failed, it has left nothing behind when that is raised."""
    request = request.replace(cache_from=await workshop.caches())
    await cache_elsewhere.take_in(workshop, options.imports, tell)
    free = asyncio.Semaphore(max(2, len(os.sched_getaffinity(0))))

    async def one(platform: Platform, progress: Progress) -> Built:
        wanted = request.replace(platform=scope.Platform.of(str(platform)))
        if options.platform:
            wanted = wanted.replace(base_platform=str(platform))
        async with free:
            if workshop.cancelled.is_set():
                raise errors.Unavailable("the build was cancelled")
            made = await in_own_thread(solve.solve, wanted, workshop, progress)
        return Built(platform=platform, state=made)

    with closing(workshop.layers), workshop.caching.kept():
        progress = [(platform, told(platform)) for platform in platforms(options)]
        work = [asyncio.create_task(one(*each)) for each in progress]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            workshop.leave()
            await asyncio.gather(*work, return_exceptions=True)
            raise
        if any(task.done() and task.exception() for task in work):
            workshop.abandon()
            await asyncio.wait(work)
    if failure := solve.reason(task.exception() for task in work):
        raise failure
    built = [task.result() for task in work]
    return Outcome(workshop, options, built, _facts(request, workshop, options))


def _facts(request: solve.Request, workshop: Workshop, options: Options) -> provenance.Facts:
    """The same, whichever door the build came through."""
    args = {f"build-arg:{name}": value for name, value in options.args.items()}
    args |= {f"label:{name}": value for name, value in options.labels.items()}
    args |= {"target": options.target} if options.target else {}
    args |= {"force-network-mode": options.network} if options.network else {}
    used = workshop.caching.used
    remote = options.remote if "://" in options.remote else ""
    return provenance.Facts(
        args=args,
        dockerfile=options.dockerfile,
        text=request.text,
        remote=remote,
        locals=() if remote else ("context", "dockerfile"),
        secrets=tuple(sorted(name for kind, name in used if kind == "secret")),
        agents=tuple(sorted(name for kind, name in used if kind == "ssh")),
        materials=tuple(workshop.materials),
        networked=("network", "") in used,
    )


def _request(context: Files, options: Options, place: str) -> solve.Request:
    text = contexts.dockerfile(context, options.dockerfile)
    matcher = contexts.ignored(context, options.dockerfile)
    named = contexts.named(context, options.contexts, place)
    request = request_of(text, contexts.visible(context, matcher), options)
    return request.replace(ignored=matcher, contexts=named)


def request_of(text: str, context: Files, options: Options) -> solve.Request:
    """`text` is the Dockerfile's; `context` has no more than `.dockerignore` leaves."""
    return solve.Request(
        dockerfile=dockerfile.parse(text),
        text=text,
        context=context,
        platform=scope.Platform.of(str(platforms(options)[0])),
        target=options.target,
        args=options.args,
        labels=options.labels,
        no_cache=options.no_cache,
        no_cache_stages=options.no_cache_stages,
        explain=options.explain,
        network=options.network,
        allowed=options.allowed,
    )
