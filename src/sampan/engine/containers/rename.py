"""`rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine.containers import names
from sampan.engine.errors import NameTaken
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


async def rename(container: Container, name: str) -> None:
    name = name.removeprefix("/")
    if not name:
        raise errors.InvalidArgument("Neither old nor new names may be empty")
    if name == container.name:
        raise errors.InvalidArgument("Renaming a container with the same name as its current name")
    try:
        if not names.VALID.fullmatch(name):
            raise errors.InvalidArgument(
                f"Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        if owner := container.engine.containers.by_name(name):
            raise NameTaken(name, owner.id)
    except errors.SampanError as error:
        raise errors.within("Error when allocating new name", error) from error
    old, container.name = container.name, name
    container.save_settings()
    container.engine.containers.renamed(container, old)
    await container.engine.endpoints.renamed(container)
    container.event("rename", oldName=f"/{old}")
