"""A container, or one more process of it, between its clone and its command.

created.wait_ready()       # answers what the child asks for meanwhile: hooks, sources, an agent
created.start()            # returns once the command runs
created.abort()            # or leaves nothing of it
"""

from __future__ import annotations

from sampan.linux import process
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.channel import Channel
    from sampan.runtime.sources import Server


class Created:
    """A container whose PID 1 exists. `manager` is its cgroup."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        channel: Channel,
        manager: Manager | None,
        run_hooks: Callable[[], None] | None = None,
        *,
        owns_cgroup: bool = True,
    ) -> None:
        self.pid, self.pidfd, self.manager = pid, pidfd, manager
        self._channel, self._run_hooks, self._owns_cgroup = channel, run_hooks, owns_cgroup
        self.sources: Server | None = None
        self.callers_parents = False  # whose child it is: not ours
        self.agent: tuple[str, str] | None = None  # of seccomp
        self.state: dict[str, Any] = {}
        self.undo: Callable[[], None] | None = None  # what else was made for it

    def fileno(self) -> int:
        """Readable when PID 1 has something to say."""
        return self._channel.fd

    def send_go(self) -> None:
        """It is in its cgroup and its ids are mapped: let it prepare itself."""
        self._channel.send("go")

    def wait_joined(self) -> None:
        """It is in its cgroups, but for those that come late."""
        message = self._channel.receive()
        if message[:1] != ("joined",):
            raise self._failure(message, in_init=True)

    def wait_ready(self) -> None:
        """Block until root file system and hooks are done; raises a runtime error."""
        try:
            while True:
                message = self._channel.receive()
                if message[:1] == ("ready",):
                    if self.manager and self._owns_cgroup:
                        self.manager.occupied()
                    return
                if message[:1] == ("source",) and self.sources:
                    self.sources.serve(message[1])
                    continue
                if message[:1] == ("seccomp",) and self.agent:
                    self._hand_over(self.agent, int(message[1]))
                    continue
                if message[:1] != ("hooks",):
                    raise self._failure(message, in_init=True)
                if self._run_hooks:
                    self._run_hooks()
                self._channel.send("hooks")
        except BaseException:
            self.abort()
            raise
        finally:
            if self.sources:
                self.sources.close()

    def _hand_over(self, agent: tuple[str, str], fd: int) -> None:
        from sampan.runtime import listener

        listener.hand_over(agent, self.pid, self.pidfd, fd, self.state)
        self._channel.send("seccomp")

    def start(self) -> None:
        """Let it execute its command; returns after a successful execve, raises otherwise."""
        try:
            self._channel.send("start")
            message = self._channel.receive()
            if message:
                raise self._failure(message)
        except OSError as error:
            self.abort()
            raise self._failure(()) from error
        except BaseException:
            self.abort()
            raise
        self._channel.close()

    def abort(self) -> None:
        """Kill it and undo everything; may be called more than once."""
        if self.pidfd >= 0:
            process.end(self.pidfd)
            self.pidfd = -1
        self._channel.close()
        if self.manager and self._owns_cgroup:
            self.manager.kill()
            self.manager.delete()
            self.manager = None
        if self.undo:
            self.undo()
            self.undo = None

    @staticmethod
    def _failure(message: tuple[str, ...], *, in_init: bool = False) -> Exception:
        """`in_init`: before the command's turn; the error carries it as an attribute."""
        if message[:1] == ("error",) and len(message) == 3:
            error = errors.by_name(message[1], message[2])
            error.in_init = in_init  # type: ignore[attr-defined]
            return error
        return errors.StartFailed("the container's process ended before it ran its command")
