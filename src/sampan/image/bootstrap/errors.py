"""What a bootstrap can fail with."""

from __future__ import annotations

from sampan.kit import errors


class BootstrapFailed(errors.Unavailable):
    """A program that does the work failed; `lines` are the last it said."""

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__(f"{what} failed:\n  " + "\n  ".join(lines or ["it said nothing"]))
        self.what, self.lines = what, lines
