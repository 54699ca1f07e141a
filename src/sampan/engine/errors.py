"""The engine's nouns among the six kinds of `kit.errors`.

Docker's clients match on message texts, so here a sentence may begin with a capital.
"""

from __future__ import annotations

from sampan.kit import errors


class NoSuchContainer(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"No such container: {name}")
        self.name = name


class NoSuchExec(errors.NotFound):
    def __init__(self, exec_id: str) -> None:
        super().__init__(f"No such exec instance: {exec_id}")


class NoSuchImage(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"No such image: {name}")
        self.name = name


class NoSuchNetwork(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")
        self.name = name


class NoSuchVolume(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")
        self.name = name


class AmbiguousId(errors.InvalidArgument):
    def __init__(self, prefix: str) -> None:
        super().__init__(f"Multiple IDs found with provided prefix: {prefix}")


class NameTaken(errors.Conflict):
    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
        self.name, self.owner = name, owner


class NotRunning(errors.Conflict):
    def __init__(self, container_id: str) -> None:
        super().__init__(f"container {container_id} is not running")


class IsPaused(errors.Conflict):
    def __init__(self, name: str, verb: str) -> None:
        super().__init__(f"Container {name} is paused, unpause the container before {verb}")


class NotModified(errors.Conflict):
    """The container is in the wanted state already; HTTP says 304."""


class NotPermitted(errors.InvalidArgument):
    """Refused however it is asked; HTTP says 403."""


class NotImplementedHere(errors.Unsupported):
    """A part of the API that this engine does not have; HTTP says 501."""


class StartFailed(errors.SampanError):
    """The container's process could not be started; `exit_code` is what `docker run` shows."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code
