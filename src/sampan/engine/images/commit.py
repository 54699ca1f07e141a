"""`commit`: a container's writable layer becomes an image's top layer."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Any

from sampan.build import changes
from sampan.engine.containers import pause as pausing_verbs
from sampan.engine.errors import NotRunning
from sampan.engine.images import happened, own_layers, register
from sampan.image import archive, content
from sampan.kit import clock
from sampan.kit.threads import in_thread
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine

# The tar without an entry: 1,024 zeros.
EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

# What a container's Config may override in the image's (moby's commit merges the same).
_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck", "OnBuild", "Shell",
)  # fmt: skip


async def commit(
    engine: Engine,
    name: str,
    target: str,
    *,
    author: str = "",
    comment: str = "",
    changes: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    pause: bool = True,
) -> str:
    """The new image's id. A running container is paused meanwhile, so that files are whole."""
    full = [str(reference.parse(target))] if target else []
    container = engine.containers.get(name)
    pausing = pause and container.status == "running"
    if pausing:
        with contextlib.suppress(NotRunning):  # it has just ended: its files are still, too
            await pausing_verbs.pause(container)
    try:
        with (
            engine.images.lease(f"commit {container.id[:12]}") as lease,
            contextlib.closing(own_layers.OwnLayers(engine, lease)) as own,
        ):
            diff = functools.partial(engine.snapshots.diff, container.id)
            layer, diff_id = await in_thread(own.store, diff)
            made = _config(engine, container, changes, config or {}, author, comment)
            layers = _base_layers(engine, container)
            if diff_id == EMPTY:
                made["history"][-1]["empty_layer"] = True
            else:
                diff_ids = made["rootfs"]["diff_ids"]
                diff_ids.append(diff_id)
                await own.publish(oci_image.chain_ids(diff_ids), diff_id)
                layers = [*layers, layer]
            manifest = archive.write_image(lease.store, made, layers)
            image_id = await register.register(
                engine, lease, manifest, full, parent=container.image_id
            )
    finally:
        if pausing and container.status == "paused":  # it may have been killed meanwhile
            await pausing_verbs.unpause(container)
    told = reference.familiar(full[0]) if full else ""
    if told:
        happened.publish(engine, "tag", image_id, told)
    container.event("commit", comment=comment, imageID=image_id, imageRef=told)
    return image_id


def _base_layers(engine: Engine, container: Container) -> list[dict[str, Any]]:
    row = engine.db.row("select manifest from images where id = ?", (container.image_id,))
    if row is None:
        return []
    layers: list[dict[str, Any]] = json.loads(content.read(engine.store, row[0]))["layers"]
    return layers


def _config(
    engine: Engine,
    container: Container,
    lines: Sequence[str],
    override: dict[str, Any],
    author: str,
    comment: str,
) -> dict[str, Any]:
    row = engine.db.row("select config from images where id = ?", (container.image_id,))
    base: dict[str, Any] = json.loads(row[0]) if row else {}
    inner = {key: container.config[key] for key in _KEYS if container.config.get(key)}
    inner |= {key: override[key] for key in _KEYS if override.get(key)}
    changes.apply(inner, lines)
    created, platform = clock.now(), oci_image.host_platform()
    command = " ".join(container.config.get("Cmd") or [])
    step = {"created": created, "author": author, "created_by": command, "comment": comment}
    return {
        **base,
        "created": created,
        "author": author,
        "architecture": base.get("architecture", platform.architecture),
        "os": base.get("os", "linux"),
        # Where it comes from, by the names of Docker's image specification v1; `inspect` shows it.
        "container": container.id,
        "container_config": {**inner, "Image": container.image_ref},
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [*(base.get("rootfs", {}).get("diff_ids") or [])]},
        "history": [*(base.get("history") or []), {k: v for k, v in step.items() if v}],
    }
