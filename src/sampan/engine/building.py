"""`build`: what the engine gives to the build room, and one build from its context to an image.

The build is blocking and has a thread; what it needs of the engine it asks the event loop for. A
client that goes away cancels: the running step's container is removed, the next step never begins.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from sampan.build import cache, dockerfile, ignore, running, scope, solve, state
from sampan.build.files import Context, Stack, walk
from sampan.engine.build_mounts import Mounts
from sampan.engine.containers import create, logs, remove, start, wait
from sampan.engine.errors import NoSuchImage
from sampan.engine.images import Image, archives, parents, register
from sampan.image import archive, compress
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.kit.threads import in_thread
from sampan.spec import docker_stream, oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping

    from sampan.build.files import Files
    from sampan.build.state import Layer, State
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease

T = TypeVar("T")


class Options(Record):
    """Docker's `POST /build`, checked."""

    dockerfile: str = "Dockerfile"
    names: tuple[str, ...] = ()
    target: str = ""
    args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    platform: str = ""
    network: str = ""
    host_config: Mapping[str, Any] = {}  # limits of the steps' containers


async def build(
    engine: Engine, chunks: AsyncIterator[bytes], options: Options, *, report: Report
) -> str:
    """The new image's id. Tells everything as the classic builder does."""
    names = [str(reference.parse(name)) for name in options.names]
    loop = asyncio.get_running_loop()
    os.makedirs(f"{engine.paths.root}/build", mode=0o711, exist_ok=True)
    with (
        tempfile.TemporaryFile(dir=f"{engine.paths.root}/build") as spool,
        engine.images.lease("build") as lease,
    ):
        workshop = Workshop(engine, lease, loop, options, report)
        async with archives.piped(chunks) as stream:
            context = await in_thread(_context, spool, stream)
        text = dockerfile_of(context, options.dockerfile)
        _leave_behind(context, options.dockerfile)
        request = request_of(text, context, options)
        made = await solved(request, workshop)
        layers = [layer.descriptor for layer in made.layers]
        manifest = archive.write_image(lease.store, made.document, layers)
        base = parents.base(engine.db, made.document)
        image_id = await register.register(engine, lease, manifest, names, parent=base)
    await report({"aux": {"ID": image_id}})
    short = image_id.partition(":")[2][:12]
    await report({"stream": f"{image_id}\n" if options.quiet else f"Successfully built {short}\n"})
    for name in names if not options.quiet else ():
        await report({"stream": f"Successfully tagged {reference.familiar(name)}\n"})
    for name in names:
        engine.events.publish("image", "tag", image_id, {"name": reference.familiar(name)})
    return image_id


async def prune(engine: Engine) -> tuple[list[str], int]:
    """Forget what earlier builds made; the keys, and the bytes that no image holds are freed."""
    gone = await in_thread(cache.Records(engine.paths.root).clear)
    freed = await engine.images.collect_garbage()
    return sorted(gone), freed


async def solved(request: solve.Request, workshop: Workshop) -> State:
    """Cancelled, it ends the step that runs and leaves nothing."""
    work = asyncio.create_task(in_thread(solve.solve, request, workshop, workshop.say))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        workshop.cancelled.set()
        await workshop.stop()
        await asyncio.gather(work, return_exceptions=True)
        raise


def _context(spool: BinaryIO, stream: Iterator[bytes]) -> Context:
    return Context(spool, compress.decompress(stream))


def request_of(text: str, context: Files, options: Options) -> solve.Request:
    """`text` is the Dockerfile's."""
    runs_on = (
        oci_image.parse_platform(options.platform)
        if options.platform
        else oci_image.host_platform()
    )
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
        network=options.network,
        epoch=_epoch(options.args.get("SOURCE_DATE_EPOCH", "")),
    )


def _epoch(text: str) -> int | None:
    if text and not text.isdecimal():
        raise errors.InvalidArgument(f"SOURCE_DATE_EPOCH={text}: not a number of seconds")
    return int(text) if text else None


def dockerfile_of(context: Context, path: str) -> str:
    """Its text. Raises InvalidArgument where there is none."""
    try:
        return context.text(path)
    except errors.NotFound:
        raise errors.InvalidArgument(
            f"Cannot locate specified Dockerfile: {path}: it is not in the build context"
        ) from None


def _leave_behind(context: Context, path: str) -> None:
    """What `Dockerfile.dockerignore`, or else `.dockerignore`, names is not there for COPY."""
    for name in (f"{path}.dockerignore", ".dockerignore"):
        if context.entry(name) is None:
            continue
        matcher = ignore.Matcher(ignore.read(context.text(name)))
        for place in reversed([*walk(context, "")]):
            if place and matcher.ignores(place) and not context.children(place):
                context.remove(place)
        return


class Workshop:
    """Called in the build's thread."""

    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        report: Report,
    ) -> None:
        self._lease = lease
        self._engine, self._loop, self._options = engine, loop, options
        self._report = report
        self._records = cache.Records(engine.paths.root)
        self._container: Container | None = None
        self.cancelled = threading.Event()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        if self.cancelled.is_set():
            work.close()
            raise errors.Unavailable("the build was cancelled")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._report(message)

    def say(self, text: str) -> None:
        if not self._options.quiet:
            self._await(self._tell({"stream": text}))

    async def stop(self) -> None:
        if self._container is not None:
            await remove.remove(self._container, force=True)

    def base(self, name: str, platform: str) -> State:
        return self._await(self._base(name, platform or self._options.platform))

    async def _base(self, name: str, platform: str) -> State:
        image = None if self._options.pull else self._local(name)
        if image is None:
            await self._engine.images.pull(
                name, platform=platform, credentials=None, report=self._report
            )
            image = self._engine.images.get(name)
        manifest, config = register.read(self._lease.store, image.manifest)
        layers = tuple(
            state.Layer(descriptor=descriptor, diff_id=diff_id)
            for descriptor, diff_id in oci_image.layers_of(manifest, config)
        )
        self._lease.hold_all(layer.descriptor["digest"] for layer in layers)
        return state.based(config, layers)

    def _local(self, name: str) -> Image | None:
        try:
            return self._engine.images.get(name)
        except NoSuchImage:
            return None

    def tree(self, made: State) -> Files:
        self._await(self._unpacked(made))
        if made.chain_id is None:
            return Stack([])
        return Stack(self._engine.snapshots.stack(made.chain_id))

    async def _unpacked(self, made: State) -> None:
        chain = oci_image.chain_ids(layer.diff_id for layer in made.layers)
        for at, layer in enumerate(made.layers):
            await register.unpack(
                self._engine,
                self._lease,
                layer.descriptor["digest"],
                chain=[*chain[: at + 1]],
                diff_id=layer.diff_id,
            )

    def store(self, body: Callable[[Callable[[bytes], object]], None]) -> Layer:
        with self._lease.store.write() as ingest:
            writer = archive.LayerWriter(ingest)
            body(writer.write)
            descriptor, diff_id = writer.finish()
        return state.Layer(descriptor=descriptor, diff_id=diff_id)

    def recall(self, key: str) -> Layer | None:
        found = self._records.get(key)
        if found is None or found.descriptor["digest"] not in self._lease.store:
            return None
        return found

    def remember(self, key: str, layer: Layer) -> None:
        self._records.put(key, layer)

    def run(self, made: State, process: running.Process) -> Layer:
        self._await(self._unpacked(made))
        with Mounts(self._engine.paths.root, process.mounts, self.cancelled) as mounts:
            return self._run(made, process, mounts)

    def _run(self, made: State, process: running.Process, mounts: Mounts) -> Layer:
        stubs = mounts.missing(self.tree(made)) if process.mounts else []
        container = self._container = self._await(self._created(made, process, mounts))
        try:
            self.say(f" ---> Running in {container.id[:12]}\n")
            code = self._await(self._ended(container))
            if code:
                raise running.CommandFailed(process.args, code)
            self._engine.snapshots.remove_empty(container.id, stubs)
            layer = self.store(lambda out: self._engine.snapshots.diff(container.id, out))
        finally:
            self._container = None
            done = remove.remove(container, force=True, volumes=True)
            asyncio.run_coroutine_threadsafe(done, self._loop).result()
        self.say(f" ---> Removed intermediate container {container.id[:12]}\n")
        return layer

    async def _created(self, made: State, process: running.Process, mounts: Mounts) -> Container:
        image = Image(id=made.image_id, manifest="", chain_id=made.chain_id, config=made.document)
        env = {"PATH": state.DEFAULT_PATH, **process.proxies, **process.env}
        config: dict[str, Any] = {
            "Image": made.image_id,
            "Cmd": list(process.args),
            "Entrypoint": None,
            "Env": [f"{name}={value}" for name, value in env.items()],
            "User": process.user,
            "WorkingDir": process.directory,
            "Labels": {},
        }
        limits = self._options.host_config
        host = {**limits, **mounts.host_config, "NetworkMode": process.network or "default"}
        return await create.from_image(self._engine, image, config, host)

    async def _ended(self, container: Container) -> int:
        await start.start(container)
        ended = asyncio.ensure_future(wait.prepare(container))
        decoder = docker_stream.FrameDecoder()
        async for chunk in logs.read(container, logs.Options(follow=True)):
            for frame in decoder.feed(chunk) if not self._options.quiet else ():
                await self.output(frame.stream, frame.payload)
        return await ended

    async def output(self, stream: int, data: bytes) -> None:
        """A step's process wrote this; `stream` is docker_stream's."""
        text = data.decode("utf-8", "replace")
        if stream == docker_stream.STDERR:
            text = f"\x1b[91m{text}\x1b[0m"  # as the classic builder tells them apart
        await self._report({"stream": text})
