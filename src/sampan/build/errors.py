"""What can be wrong with a Dockerfile, with the place where it is wrong."""

from __future__ import annotations

from sampan.kit import errors


class DockerfileError(errors.InvalidArgument):
    """The sentence, and the lines (from 1, both included) of the file that it is about."""

    def __init__(self, reason: str, line: int = 0, end: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line, self.end = reason, line, end or line

    def __str__(self) -> str:
        if not self.line:
            return self.reason
        return f"dockerfile parse error on line {self.line}: {self.reason}"

    def at(self, line: int, end: int = 0) -> DockerfileError:
        """The same error with a place, unless it knows a better one."""
        if not self.line:
            self.line, self.end = line, end or line
        return self


class ExpansionFailed(DockerfileError):
    """A word whose quotes or variables cannot be processed."""


def excerpt(error: DockerfileError, text: str, name: str = "Dockerfile", around: int = 2) -> str:
    """The lines of `text` about the error, the guilty ones marked; empty without a place."""
    if not error.line:
        return ""
    lines = text.split("\n")
    first, last = max(1, error.line - around), min(len(lines), error.end + around)
    shown = [
        f"{number:4} | {'>>>' if error.line <= number <= error.end else '   '} {lines[number - 1]}"
        for number in range(first, last + 1)
    ]
    rule = "-" * 20
    return "\n".join([f"{name}:{error.line}", rule, *(line.rstrip() for line in shown), rule])
