"""Checkpoints: a container's processes as files, to go on from at a later start. By criu.

They are directories below the bundle's `checkpoints`, or below one that the client names, and go
with the container. A checkpoint holds the processes, not the files: the writable layer is the
container's own at both ends, and has to be what it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from typing import TYPE_CHECKING

from sampan.engine import containerfiles, runtimes, user_namespaces
from sampan.engine.containers import start
from sampan.engine.containers import wait as waiting
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.runtime import saving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container

_INVENTORY = "inventory.img"  # each of criu's images has one
_NAME = re.compile("[a-zA-Z0-9][a-zA-Z0-9_.-]+")


async def create(container: Container, name: str, *, directory: str = "", exit_: bool) -> None:
    """Docker's `POST /containers/{id}/checkpoints`; with `exit_` the container ends there."""
    _check(name)
    async with container.lock:
        container.require_running()
        if user_namespaces.of(container):
            raise errors.Unsupported("a container in a user namespace cannot be checkpointed")
        if (container.host_config.get("IpcMode") or "").startswith("container:"):
            raise errors.Unsupported(
                f"container {container.name} has the IPC namespace and /dev/shm of another one: it "
                "cannot be checkpointed"
            )
        if runtimes.other(container):
            raise errors.Unsupported(
                f"container {container.name} runs below another runtime, which would have to do it"
            )
        path = os.path.join(_above(container, directory), name)
        try:
            os.makedirs(path, mode=0o700)
        except FileExistsError:
            raise errors.Conflict(
                f"cannot checkpoint container {container.name}: checkpoint with name {name} already"
                f" exists for container {container.name}"
            ) from None
        before, container.stopped_by_user = container.stopped_by_user, exit_
        try:
            await _save(container, path, exit_=exit_)
        except BaseException as error:
            container.stopped_by_user = before
            shutil.rmtree(path, ignore_errors=True)
            if isinstance(error, errors.SampanError):
                kind = type(error) if isinstance(error, errors.Unsupported) else errors.Conflict
                raise kind(f"Cannot checkpoint container {container.name}: {error}") from error
            raise
    if exit_:
        await waiting.ended(container)
    container.event("checkpoint")


async def _save(container: Container, path: str, *, exit_: bool) -> None:
    job = {
        "pid": container.pid,
        "bundle": container.bundle,
        "cgroup": container.cgroup,
        "config": start.described(container, containerfiles.places(container)),
        "image_path": path,
        "exit": exit_,
    }
    process = await asyncio.create_subprocess_exec(
        *saving.command(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate(json.dumps(job).encode())
    saving.check(said)
    if process.returncode:
        raise errors.Unavailable(f"the process that saves ended with {process.returncode}")


def list_(container: Container, directory: str = "") -> Sequence[str]:
    """Their names. NotFound for a directory that is named and not there."""
    above = _above(container, directory)
    try:
        return sorted(entry.name for entry in os.scandir(above) if entry.is_dir())
    except FileNotFoundError:
        if not directory:
            return []
        raise errors.NotFound(
            f'checkpoint directory "{above}" does not exist for container {container.name}'
        ) from None
    except NotADirectoryError:
        raise errors.InvalidArgument(
            f'checkpoint directory "{above}" exists but is not a directory'
        ) from None


def find(container: Container, name: str, directory: str = "") -> str:
    """Where one is. Raises NotFound."""
    _check(name)
    path = os.path.join(_above(container, directory), name)
    if not os.path.isdir(path):
        raise errors.NotFound(f"checkpoint {name} does not exist for container {container.name}")
    return path


async def remove(container: Container, name: str, directory: str = "") -> None:
    path = find(container, name, directory)
    if _INVENTORY not in os.listdir(path):  # a client may name any directory
        raise errors.InvalidArgument(f"{path} holds no checkpoint")
    await in_thread(shutil.rmtree, path)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise errors.InvalidArgument(
            f'invalid checkpoint ID "{name}", only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed'
        )


def _above(container: Container, directory: str) -> str:
    if directory and not directory.startswith("/"):
        raise errors.InvalidArgument(f"checkpoint directory {directory!r} is no absolute path")
    return directory or f"{container.bundle}/checkpoints"
