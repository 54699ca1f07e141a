"""Where `sampan-oci` says what it does: the file of `--log`, or standard error.

A caller reads the last entry of level `error` from the file (containerd, podman); the fields
`level`, `msg` and `time` are what they expect.
"""

from __future__ import annotations

import os
import sys

from sampan.kit import clock, errors, json


class Log:
    def __init__(self, path: str, *, form: str, debug: bool) -> None:
        if form not in ("text", "json"):
            raise errors.InvalidArgument(f'invalid log-format: "{form}"')
        self._json = form == "json"
        self._debug = debug
        self._fd = 2
        if path:
            try:
                mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(path, mode, 0o644)
            except OSError as error:
                raise errors.InvalidArgument(
                    f"--log {path}: {os.strerror(error.errno or 0)}"
                ) from error

    def debug(self, text: str) -> None:
        if self._debug:
            self._write("debug", text)

    def warning(self, text: str) -> None:
        self._write("warning", text)

    def error(self, text: str) -> None:
        """Into the file, and for people: as it is on standard error."""
        if self._fd != 2:
            self._write("error", text)
        print(text, file=sys.stderr)

    def _write(self, level: str, text: str) -> None:
        if self._json:
            line = json.dumps({"level": level, "msg": text, "time": clock.now()})
        else:
            line = f"time={json.dumps(clock.now())} level={level} msg={json.dumps(text)}"
        os.write(self._fd, line.encode("utf-8", "surrogateescape") + b"\n")
