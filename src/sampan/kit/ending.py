"""The end of a program that lives for milliseconds."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Exit with `code` once the output is out, without taking the interpreter down (2 ms).

    Output that cannot be written makes it 120, as an ordinary end of Python's does.
    """
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: it was closed before us
            stream.flush()
    except (OSError, ValueError):
        code = 120
    os._exit(code)
