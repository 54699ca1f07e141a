"""`pull`: the registry room brings bytes, the image room unpacks, Docker's words tell about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine.images import happened, lazy, names, register, registries, told
from sampan.engine.images.unpacking import Unpacking
from sampan.kit import errors
from sampan.registry import pull as distribution
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease
    from sampan.registry.auth import Credentials
    from sampan.registry.events import Event


async def each(engine: Engine, name: str, credentials: Credentials | None) -> list[str]:
    """The images that a pull of this name brings: without tag and digest, all of the repository."""
    wanted = reference.parse(name)
    if not reference.is_bare(name):
        return [name]
    async with registries.client(engine, wanted, credentials) as client:
        tags = await client.tags()
    if not tags:
        raise errors.NotFound(f"{name} has no tags")
    return [f"{name}:{tag}" for tag in tags]


async def fetch(
    engine: Engine,
    lease: Lease,
    name: str,
    *,
    platform: str,
    credentials: Credentials | None,
    report: Report,
) -> distribution.Pulled:
    """The bytes of an image for a platform, and no name for it."""
    wanted = reference.parse(name)
    async with (
        registries.client(engine, wanted, credentials) as client,
        told.Teller(report, told.PULL) as tell,
    ):
        return await distribution.pull(
            client, lease.store, platform=oci_image.parse_platform(platform), on_event=tell
        )


async def pull(
    engine: Engine,
    lease: Lease,
    name: str,
    *,
    platform: str,
    every: bool = False,
    lazily: bool = False,
    credentials: Credentials | None,
    report: Report,
) -> None:
    """Get an image and its name; `every`: the other platforms' bytes, too. Docker's messages."""
    wanted = reference.parse(name)
    runs_on = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
    before = engine.db.value("select target from names where name = ?", (str(wanted),))
    async with (
        registries.client(engine, wanted, credentials) as client,
        told.Teller(report, told.PULL) as tell,
    ):
        later = lazy.Pull(engine, lease, client, credentials, tell.say)
        unpacking = Unpacking(engine, lease, tell, later)
        familiar = wanted.repository.removeprefix("docker.io/")

        def heard(event: Event) -> None:
            if event.kind == "source":
                tell.say({"status": f"Pulling from {familiar}", "id": wanted.identifier})
            elif event.kind != "complete":  # that is ours to say
                unpacking.heard(event)
                tell(event)

        try:
            if every:
                await distribution.pull_all(client, lease.store, on_event=heard)
            pulled = await distribution.pull(
                client,
                lease.store,
                platform=runs_on,
                on_event=heard,
                on_config=unpacking.expect,
                on_layer=unpacking.begin,
                elsewhere=later.takes if lazily else None,
            )
            await unpacking.finish()
        except BaseException:
            await unpacking.cancel()
            raise
        target = pulled.target["digest"]
        full = [str(wanted)] if wanted.tag and not wanted.digest else []
        by_digest = f"{wanted.repository}@{target}"
        image_id = await register.register(
            engine, lease, pulled.manifest["digest"], [*full, by_digest], target=target
        )
    await report({"status": f"Digest: {target}"})
    shown = reference.familiar(str(wanted))
    state = "Image is up to date" if before == target else "Downloaded newer image"
    await report({"status": f"Status: {state} for {shown}"})
    happened.publish(engine, "pull", shown, names.shown(shown), id=image_id)
