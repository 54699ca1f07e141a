"""The comma-separated values of `--mount` and `--device`."""

from __future__ import annotations

import csv

from sampan.build.errors import DockerfileError

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def fields(text: str, what: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv {what}: {error} in {text!r}") from None


def boolean(key: str, value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise DockerfileError(f"invalid value for {key}: {value}")
    return value in _TRUE
