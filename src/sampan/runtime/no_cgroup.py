"""A container without a cgroup: a user whom none was delegated, or `--cgroup-manager disabled`."""

from __future__ import annotations

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class NoCgroup:
    """The cgroup of a container that has none: it stays where its caller is."""

    def __init__(self, why: str) -> None:
        self._why = why

    def create(self) -> None: ...

    def delete(self) -> None: ...

    def add(self, pid: int) -> None: ...

    def occupied(self) -> None: ...

    def kill(self, signal: int = 9) -> None:
        """PID 1 of its pid namespace takes all others with it."""

    def thaw(self) -> None: ...

    def freeze(self) -> None:
        raise errors.NotPermitted("this container has no cgroup of its own: it cannot be paused")

    def is_frozen(self) -> bool:
        return False

    def pids(self) -> list[int]:
        return []

    def paths(self) -> dict[str, str]:
        return {}

    def apply(self, resources: dict[str, Any]) -> None:
        """Limits are refused; rules for devices not: a user cannot make any, root gave them up
        with the cgroup.
        """
        limits = sorted(key for key, value in resources.items() if value and key != "devices")
        if limits:
            raise errors.NotPermitted(
                f"linux.resources: {', '.join(limits)}: the container has no cgroup: {self._why}"
            )

    def __getattr__(self, name: str) -> Any:
        raise errors.NotPermitted(f"this container has no cgroup of its own ({name})")
