"""What can go wrong with a cgroup, in the six kinds of `kit.errors`."""

from __future__ import annotations

from sampan.kit import errors


class NoCgroups(errors.Unsupported):
    """No cgroup hierarchy is mounted where this process can see it."""


class ControllerMissing(errors.Unsupported):
    """The host (or its parent cgroup) does not offer what a limit needs."""

    def __init__(self, controller: str, message: str) -> None:
        super().__init__(message)
        self.controller = controller


class InvalidLimit(errors.InvalidArgument):
    """A value that can never be right, or that the kernel refused."""


class LimitBelowUsage(errors.Conflict):
    """A memory limit under what the cgroup already holds."""


class CgroupBusy(errors.Conflict):
    """A cgroup that cannot be removed, frozen or entered because of what runs in it."""
