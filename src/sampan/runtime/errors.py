"""What can go wrong with one container, as the six kinds see it.

The child that prepares a container reports its error as (class name, message); `by_name` turns it
back into the class, so that the caller sees the error as if it had happened in its own process.
"""

from __future__ import annotations

import os

from sampan.kit import errors


class ContainerNotFound(errors.NotFound):
    def __init__(self, container_id: str) -> None:
        super().__init__(f"container {container_id!r} does not exist")
        self.container_id = container_id


class ContainerExists(errors.AlreadyExists):
    def __init__(self, container_id: str) -> None:
        super().__init__(f"container with id {container_id!r} already exists")
        self.container_id = container_id


class WrongState(errors.Conflict):
    """The container is not in a state that allows this."""


class InvalidConfig(errors.InvalidArgument):
    """config.json asks for something that can never work."""


class CommandNotFound(errors.NotFound):
    """There is no such command in the container (exit code 127)."""


class CommandNotExecutable(errors.InvalidArgument):
    """The command is there and cannot be executed (exit code 126)."""


class MountFailed(errors.InvalidArgument):
    """A mount of config.json could not be made."""


class UnsafePath(errors.InvalidArgument):
    """A path of the container leads, or could lead, out of its root."""


class HookFailed(errors.Conflict):
    """A hook ended with an error or took longer than its timeout."""


class NotPermitted(errors.Unsupported):
    """This host does not let us do that."""


class StartFailed(errors.Conflict):
    """The container's process ended before it could run its command."""


_CLASSES: dict[str, type[errors.SampanError]] = {
    cls.__name__: cls
    for cls in (
        *(InvalidConfig, CommandNotFound, CommandNotExecutable, MountFailed, UnsafePath),
        *(HookFailed, NotPermitted, StartFailed, WrongState),
    )
}


def by_name(name: str, message: str) -> errors.SampanError:
    """The child's error as the caller's own."""
    return _CLASSES.get(name, StartFailed)(message)


def exit_code(error: BaseException) -> int:
    """What `docker run` exits with: 127, 126, or 125 for everything that is not the command's."""
    if isinstance(error, CommandNotFound):
        return 127
    return 126 if isinstance(error, CommandNotExecutable) else 125


def reason(error: OSError) -> str:
    """What the kernel said, without the call and the path around it."""
    return os.strerror(error.errno) if error.errno else str(error)
