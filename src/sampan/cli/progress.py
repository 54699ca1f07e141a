"""The engine's progress messages (pull, push, load, import) on a terminal or as plain lines.

A message is `{"status", "id", "progressDetail": {"current", "total"}, "stream", "error", "aux"}`.
On a terminal each id has a line that is drawn over; elsewhere a line is written once, and the
countless ones that only move a bar are left out.
"""

from __future__ import annotations

import os
import sys

from sampan.cli import units
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

_BAR = 50  # columns, as in Docker's display
_CLEAR = "\x1b[2K\r"


class Failed(errors.ApiError):
    """An error that travelled inside the stream, after the engine had said 200."""

    in_stream = True


def show(
    messages: Iterable[dict[str, Any]],
    *,
    out: TextIO | None = None,
    on_aux: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Draw the messages on `out` (stdout) until they end. Raises Failed."""
    display = Display(out or sys.stdout)
    for message in messages:
        check(message)
        aux = message.get("aux")
        if aux is not None and on_aux is not None:
            on_aux(aux)
        display.show(message)


def drain(messages: Iterable[dict[str, Any]]) -> None:
    """Wait for the end of the messages, showing nothing. Raises Failed."""
    for message in messages:
        check(message)


def check(message: dict[str, Any]) -> None:
    if message.get("error") or message.get("errorDetail"):
        detail = message.get("errorDetail") or {}
        text = str(detail.get("message") or message.get("error"))
        raise Failed(text, int(detail.get("code") or 500))


class Display:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._rows: dict[str, int] = {}  # id → its line, counted from the first
        self._seen: set[tuple[str, str]] = set()

    def show(self, message: dict[str, Any]) -> None:
        if message.get("stream"):
            self._out.write(message["stream"])
        elif message.get("status"):
            detail = message.get("progressDetail") or {}
            if self._terminal:
                self._draw(message, detail)
            else:
                self._plain(message, detail)
        self._out.flush()

    def _plain(self, message: dict[str, Any], detail: dict[str, Any]) -> None:
        if detail.get("current") or detail.get("total"):
            return
        ident, status = str(message.get("id") or ""), str(message["status"])
        if ident and (ident, status) in self._seen:
            return
        self._seen.add((ident, status))
        self._out.write(f"{ident}: {status}\n" if ident else f"{status}\n")

    def _draw(self, message: dict[str, Any], detail: dict[str, Any]) -> None:
        ident, status = str(message.get("id") or ""), str(message["status"])
        if not ident:
            self._rows.clear()  # the lines above are finished; new ones begin below
            self._out.write(f"{_CLEAR}{status}\n")
            return
        if ident not in self._rows:
            self._rows[ident] = len(self._rows)
            self._out.write("\n")
        up = len(self._rows) - self._rows[ident]
        width = self._width()
        line = f"{ident}: {status} {bar(detail, width - len(ident) - len(status) - 3)}"[:width]
        self._out.write(f"\x1b[{up}A{_CLEAR}{line.rstrip()}\r\x1b[{up}B")

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except OSError:
            return 80


def bar(detail: dict[str, Any], room: int) -> str:
    """`[=====>    ]  1.2MB/3.4MB`, the bar left out where there is no room for it."""
    current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
    if not current and not total:
        return ""
    if detail.get("units"):
        return f"{current}/{total} {detail['units']}" if total else f"{current} {detail['units']}"
    numbers = units.size(current) + (f"/{units.size(total)}" if current < total else "")
    if not total or room < _BAR + len(numbers) + 4:
        return numbers.rjust(min(8, room)) if room > 0 else ""
    filled = min(_BAR, current * _BAR // total)
    drawn = "=" * filled + ">" * (filled < _BAR)
    return f"[{drawn:<{_BAR}}]  {numbers}"
