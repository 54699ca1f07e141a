"""Steps of a start, for `--debug`, and warnings: the program says where they go."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

listener: Callable[[str], None] | None = None
warner: Callable[[str], None] | None = None


def say(text: str) -> None:
    if listener:
        listener(text)


def warn(text: str) -> None:
    """What is not as asked, where the specification says to go on."""
    if warner:
        warner(text)
