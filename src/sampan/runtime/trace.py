"""Steps of a start, for `--debug`: whoever starts the program says where they go."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

listener: Callable[[str], None] | None = None


def say(text: str) -> None:
    if listener:
        listener(text)
