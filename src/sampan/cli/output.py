"""Archives in and out: files or stdio, never a terminal."""

from __future__ import annotations

import os
import sys

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from sampan.client import http

PIECE = 1 << 18


def check(path: str, what: str) -> None:
    """Refuse what could only fail later: a terminal, a directory that is not there."""
    if not path:
        if os.isatty(1):
            raise errors.InvalidArgument(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect"
            )
        return
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise errors.InvalidArgument(
            f"failed to {what}: invalid output path: stat {directory}: no such file or directory"
        )
    if os.path.isdir(path):
        raise errors.InvalidArgument(
            f'failed to {what}: invalid output path: "{path}" must be a regular file'
        )


def save(response: http.Response, path: str) -> None:
    """Write a body to stdout, or to `path`, which appears when it is complete."""
    if not path:
        for piece in response:
            _write(1, piece)
        return
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "xb") as file:
            for piece in response:
                file.write(piece)
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def source(path: str) -> Source:
    """The pieces of a file, or of stdin for ""."""
    return Source(path)


class Source:
    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "rb", buffering=0) if path else None  # noqa: SIM115
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise errors.InvalidArgument(f"open {path}: {reason}") from error

    def __enter__(self) -> Iterator[bytes]:
        fd = self._file.fileno() if self._file else sys.stdin.fileno()
        return iter(lambda: os.read(fd, PIECE), b"")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def platform(text: str) -> dict[str, str] | None:
    """`linux/arm64/v8` as the API has it; None for ""."""
    if not text:
        return None
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise errors.InvalidArgument(
            f'error parsing specified platform: "{text}": cannot parse platform specifier: '
            "invalid argument"
        )
    keys = ("os", "architecture", "variant")
    return dict(zip(keys, parts, strict=False))
