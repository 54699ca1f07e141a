"""`pull`: the registry room brings bytes, the image room unpacks, Docker's words tell about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine.images import names, register
from sampan.registry import pull as distribution
from sampan.registry.client import Client
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.registry.pull import Event

_WORDS = {
    "waiting": "Pulling fs layer",
    "downloading": "Downloading",
    "downloaded": "Download complete",
    "exists": "Already exists",
    "unpacked": "Pull complete",
}


async def pull(
    engine: Engine, name: str, *, platform: str, credentials: dict[str, str], report: Report
) -> None:
    """Get an image and its name. Tells progress in Docker's messages."""
    wanted = reference.parse(name)
    runs_on = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
    quiet: set[str] = set()

    async def tell(event: Event) -> None:
        if event.what == "exists":
            quiet.add(event.layer)
        elif event.what == "unpacked" and event.layer in quiet:
            return
        await report(message(event, _WORDS[event.what]))

    async def complete(layer: dict[str, Any], diff_id: str, chain: list[str]) -> None:
        await register.unpack(engine, layer["digest"], chain=chain, diff_id=diff_id)

    async with engine.images.writers.writing(), Client(wanted, credentials) as client:
        first = await client.manifest(wanted.identifier)
        familiar = wanted.repository.removeprefix("docker.io/")
        await report({"status": f"Pulling from {familiar}", "id": wanted.identifier})
        before = engine.db.value("select target from names where name = ?", (str(wanted),))
        pulled = await distribution.pull(
            client,
            first.digest,
            store=engine.store,
            platform=runs_on,
            tell=tell,
            complete=complete,
        )
        digest_name = f"{wanted.repository}@{pulled.target}"
        full = [str(wanted)] if wanted.tag and not wanted.digest else []
        image_id = await register.register(
            engine, pulled.manifest, [*full, digest_name], target=pulled.target
        )
    await report({"status": f"Digest: {pulled.target}"})
    shown = reference.familiar(str(wanted))
    state = "Image is up to date" if before == pulled.target else "Downloaded newer image"
    await report({"status": f"Status: {state} for {shown}"})
    engine.events.publish("image", "pull", shown, {"name": names.shown(shown), "id": image_id})


def message(event: Event, words: str) -> dict[str, Any]:
    """One of Docker's progress messages."""
    told: dict[str, Any] = {"status": words, "progressDetail": {}}
    told["id"] = event.layer.partition(":")[2][:12]
    if event.total and event.current:
        told["progressDetail"] = {"current": event.current, "total": event.total}
        told["progress"] = bar(event.current, event.total)
    return told


def bar(current: int, total: int) -> str:
    """`[=====>     ]  1.2MB/3.4MB`, fifty wide, as Docker's clients expect it."""
    done = min(50 * current // total, 50)
    arrow = ("=" * (done - 1) + ">" if done else "").ljust(50)
    return f"[{arrow}]  {_size(current)}/{_size(total)}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"
