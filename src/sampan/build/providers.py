"""What a step may use and no image may keep: secrets, and agents that hold keys.

The client has them; `RUN --mount=type=secret|ssh` asks by id. A session provides them from afar,
`Given` has them at hand.
"""

from __future__ import annotations

import socket

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Secrets(Protocol):
        def get(self, ident: str) -> bytes:
            """Raises NotFound."""

    class Agents(Protocol):
        def get(self, ident: str) -> socket.socket:
            """A new connection to the ssh agent of that id. Raises NotFound."""


class NoSuchSecret(errors.NotFound):
    def __init__(self, ident: str) -> None:
        super().__init__(f"secret {ident}: not found: give it with --secret id={ident}")


class NoSuchAgent(errors.NotFound):
    def __init__(self, ident: str) -> None:
        super().__init__(f"ssh agent {ident}: not found: give it with --ssh {ident}")


class GivenSecrets:
    def __init__(self, values: Mapping[str, bytes] = {}) -> None:
        self._values = values

    def get(self, ident: str) -> bytes:
        if ident not in self._values:
            raise NoSuchSecret(ident)
        return self._values[ident]


class LocalAgents:
    """Agents whose sockets are on this machine: id → path."""

    def __init__(self, paths: Mapping[str, str] = {}) -> None:
        self._paths = paths

    def get(self, ident: str) -> socket.socket:
        if ident not in self._paths:
            raise NoSuchAgent(ident)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(self._paths[ident])
        except OSError as error:
            made.close()
            why = f"ssh agent {ident}: {self._paths[ident]}: {error.strerror}"
            raise errors.Unavailable(why) from error
        return made
