"""The user's terminal: its size, and raw mode that is always given back."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def is_terminal(fd: int) -> bool:
    return os.isatty(fd)


def size(fd: int = 1) -> tuple[int, int]:
    """(rows, columns); (0, 0) where `fd` is no terminal."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


class Raw:
    """`with Raw(0):` keys arrive one by one, unechoed, Ctrl-C among them (cfmakeraw(3)).

    Does nothing where the descriptor is no terminal.
    """

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._before: list[object] | None = None

    def __enter__(self) -> Raw:
        import termios

        if not os.isatty(self._fd):
            return self
        self._before = termios.tcgetattr(self._fd)
        iflag, oflag, cflag, lflag, *rest = termios.tcgetattr(self._fd)
        iflag &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP | termios.INLCR
            | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        oflag &= ~termios.OPOST
        cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, [iflag, oflag, cflag, lflag, *rest])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            import termios

            try:
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
            except termios.error:
                pass  # the terminal is gone
