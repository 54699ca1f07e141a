"""What the engine gives to the build room: images, layers, trees, and containers for RUN."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from sampan.build import running, state
from sampan.build.files import NOTHING
from sampan.build.provenance import Material
from sampan.build.stack import Stack
from sampan.engine.builds import assembly, cache_places, caching, devices, leftovers
from sampan.engine.builds.mounts import Given, Mounts
from sampan.engine.containers import create, logs, remove, start, wait
from sampan.engine.errors import NoSuchImage
from sampan.engine.images import Image, own_layers, register, variants
from sampan.kit import errors
from sampan.linux import binfmt
from sampan.spec import docker_stream, oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sampan.build.cache_options import Export, Import
    from sampan.build.files import Files
    from sampan.build.state import Layer, State
    from sampan.engine.builds.options import Options
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease
    from sampan.image import tar
    from sampan.registry.auth import Credentials

T = TypeVar("T")


class Workshop:
    """Made on the event loop; used in the build's threads."""

    def __init__(
        self, engine: Engine, lease: Lease, scratch: str, options: Options, report: Report
    ) -> None:
        self._options, self._report = options, report
        self.engine, self.lease = engine, lease
        self._loop = asyncio.get_running_loop()
        self._containers: set[Container] = set()
        self._pulling = threading.Lock()
        self.scratch = scratch
        self.caching = caching.Caching(engine.paths.root, lease.store, scratch, self._await)
        self.alone, self.recall = self.caching.alone, self.caching.recall
        self.remember, self.trace = self.caching.remember, self.caching.trace
        self.seen = self.caching.seen
        self.layers = own_layers.OwnLayers(engine, lease)
        self.cancelled = threading.Event()
        self.left = False
        self.materials: list[Material] = []  # what the build was made from
        self.based_on: set[str] = set()  # diff_ids of layers that base images have
        self._given = Given(
            root=engine.paths.root,
            run=engine.paths.run,
            scratch=scratch,
            snapshots=engine.snapshots,
            secrets=options.secrets,
            agents=options.agents,
            cancelled=self.cancelled,
            fill=self.caching.fill,
        )

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        if self.cancelled.is_set():
            work.close()
            raise errors.Unavailable("the build was cancelled")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._report(message)

    def say(self, text: str) -> None:
        if not self.left:
            told = self._tell({"stream": text})
            asyncio.run_coroutine_threadsafe(told, self._loop).result()

    def leave(self) -> None:
        """The client is gone: nobody hears any more."""
        self.left = True
        self.abandon()

    def abandon(self) -> None:
        """From any thread: nothing new begins, and what runs is killed."""
        self.cancelled.set()
        for container in [*self._containers]:
            asyncio.run_coroutine_threadsafe(_gone(container), self._loop)

    # -- caches of other places

    async def place(self, wanted: Import | Export) -> cache_places.Place:
        if wanted.type == "registry":
            known = await self._credentials(wanted.place)
            return cache_places.Repository(self.engine, wanted.place, known)
        return cache_places.directory(wanted)

    # -- images

    def base(self, name: str, platform: str) -> State:
        with self._pulling:  # two stages that start from one image pull it once
            return self._await(self._base(name, platform))

    async def _base(self, name: str, platform: str) -> State:
        image = self._local(name, platform)
        if image is not None and not self._options.pull:
            self._from(name, platform, variants.target(self.engine, name))
            return self._state(image.manifest)
        known = await self._credentials(name)
        images = self.engine.images
        asked: dict[str, Any] = {"platform": platform, "report": self._report}
        if platform and not _here(platform):
            try:
                pulled = await images.fetch(self.lease, name, credentials=known, **asked)
            except errors.SampanError as error:
                if self._local(name) is None:
                    raise
                raise variants.NotForPlatform(name, platform) from error
            self._from(name, platform, pulled.target["digest"])
            return self._state(pulled.manifest["digest"])
        await images.pull(name, credentials=known, **asked)
        self._from(name, platform, variants.target(self.engine, name))
        return self._state(images.get(name).manifest)

    def _from(self, name: str, platform: str, digest: str) -> None:
        wanted = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
        known = self.engine.images.is_id(name)
        self.material(name if known else assembly.purl(name, wanted), digest)

    def material(self, uri: str, digest: str) -> None:
        self.materials.append(Material(uri=uri, digest=digest))

    async def _credentials(self, name: str) -> Credentials | None:
        """Who we are at the registry of this image."""
        return self._options.credentials.get(reference.parse(name).domain)

    def _state(self, digest: str) -> State:
        manifest, config = register.read(self.lease.store, digest)
        layers = tuple(
            state.Layer(descriptor=descriptor, diff_id=diff_id)
            for descriptor, diff_id in oci_image.layers_of(manifest, config)
        )
        self.lease.hold_all(layer.descriptor["digest"] for layer in layers)
        self.based_on.update(layer.diff_id for layer in layers)
        return state.based(config, layers)

    def _local(self, name: str, platform: str = "") -> Image | None:
        try:
            images = self.engine.images
            return images.for_platform(name, platform) if platform else images.get(name)
        except (NoSuchImage, variants.NotForPlatform):
            return None

    async def caches(self) -> tuple[State, ...] | None:
        """Those of `--cache-from` that are here; None where nothing was named."""
        if not self._options.cache_from:
            return None
        there = [self._local(name) for name in self._options.cache_from]
        return tuple(self._state(image.manifest) for image in there if image is not None)

    def tree(self, made: State) -> Files:
        if made.chain_id is None:
            return NOTHING
        self._await(self._unpacked(made))
        return Stack(self.engine.snapshots.stack(made.chain_id))

    async def _unpacked(self, made: State) -> None:
        chain = oci_image.chain_ids(layer.diff_id for layer in made.layers)
        for at, layer in enumerate(made.layers):
            await register.unpack(
                self.engine,
                self.lease,
                layer.descriptor["digest"],
                chain=[*chain[: at + 1]],
                diff_id=layer.diff_id,
            )

    # -- layers

    def store(self, body: Callable[[tar.Writer], object], *, latest: int | None = None) -> Layer:
        descriptor, diff_id = self.layers.store(body, latest=latest)
        return state.Layer(descriptor=descriptor, diff_id=diff_id)

    def stacked(self, made: State) -> None:
        diff_ids = [layer.diff_id for layer in made.layers]
        self._await(self.layers.publish(oci_image.chain_ids(diff_ids), diff_ids[-1]))

    # -- RUN

    def run(
        self, made: State, process: running.Process, tell: Callable[[int, bytes], object]
    ) -> Layer:
        _must_run(made)
        self._await(self._unpacked(made))
        with Mounts(self._given, process) as mounts:
            return self._run(made, process, mounts, tell)

    def _run(
        self,
        made: State,
        process: running.Process,
        mounts: Mounts,
        tell: Callable[[int, bytes], object],
    ) -> Layer:
        stubs = mounts.stubs(self.tree(made)) if mounts.host_config else []
        settings, allowed = self.engine.settings, self._options.allowed
        names = devices.wanted(
            process.devices, settings, allowed, lambda text: tell(0, text.encode())
        )
        container = self._await(self._created(made, process, mounts, names))
        self._containers.add(container)
        try:
            tell(0, f" ---> Running in {container.id[:12]}\n".encode())
            code = self._ended(container, tell)
            if self.cancelled.is_set():
                raise errors.Unavailable("the build was cancelled")
            if code:
                raise running.CommandFailed(process.args, code)
            self.engine.snapshots.remove_empty(container.id, stubs)
            diff = self.engine.snapshots.diff
            layer = self.store(lambda out: diff(container.id, out), latest=process.epoch)
        finally:
            self._containers.discard(container)
            asyncio.run_coroutine_threadsafe(_gone(container), self._loop).result()
        tell(0, f" ---> Removed intermediate container {container.id[:12]}\n".encode())
        return layer

    async def _created(
        self, made: State, process: running.Process, mounts: Mounts, devices: list[str]
    ) -> Container:
        image = Image(id=made.image_id, manifest="", chain_id=made.chain_id, config=made.document)
        env = {"PATH": state.DEFAULT_PATH, **process.proxies, **process.env}
        config: dict[str, Any] = {
            "Image": made.image_id,
            "Cmd": list(process.args),
            "Entrypoint": None,
            "Env": [f"{name}={value}" for name, value in env.items()],
            "Hostname": self._options.sandbox,
            "User": process.user,
            "WorkingDir": process.directory,
            "Labels": {leftovers.LABEL: "1"},
        }
        host = {
            **self._options.host_config,
            **mounts.host_config,
            "NetworkMode": process.network or "default",
            "Privileged": process.insecure,
        }
        if devices:
            host["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": devices}]
        variables = tuple(f"{name}={value}" for name, value in mounts.environment.items())
        return await create.from_image(self.engine, image, config, host, variables)

    def _ended(self, container: Container, tell: Callable[[int, bytes], object]) -> int:
        self._await(start.start(container))
        ended = asyncio.run_coroutine_threadsafe(_exit_code(container), self._loop)
        decoder = docker_stream.FrameDecoder()
        chunks = logs.read(container, logs.Options(follow=True))
        while chunk := self._await(_next(chunks)):
            for frame in decoder.feed(chunk):
                tell(frame.stream, frame.payload)
        return ended.result()


def _here(platform: str) -> bool:
    wanted, host = oci_image.parse_platform(platform), oci_image.host_platform()
    return (wanted.os, wanted.architecture) == (host.os, host.architecture)


def _must_run(made: State) -> None:
    """Raises Unsupported, before anything is unpacked for it."""
    architecture = str(made.config.get("architecture") or "")
    if architecture and not binfmt.runs(architecture):
        platform = f"{made.config.get('os') or 'linux'}/{architecture}"
        raise errors.Unsupported(
            f"RUN for {platform} needs a host that runs its programs: binfmt_misc has no"
            f" interpreter for {architecture} (Debian has one in qemu-user-static)"
        )


async def _next(chunks: Any) -> bytes:
    return await anext(chunks, b"")


async def _exit_code(container: Container) -> int:
    return await wait.prepare(container)


async def _gone(container: Container) -> None:
    """Removed, whoever does it: an abandoned build's steps are killed from two sides."""
    try:
        await remove.remove(container, force=True, volumes=True)
    except errors.Conflict:  # its removal is in progress
        await wait.prepare(container, "removed")
