"""A Dockerfile's text and places in it, as BuildKit's clients take them (JSON of pb.SourceInfo)."""

from __future__ import annotations

import base64
import json
from typing import Any

_DETAIL = "github.com/moby/buildkit/errdefs.Source+json"


def source(filename: str, text: str) -> dict[str, Any]:
    return {
        "filename": filename,
        "data": encoded64(text),
        "language": "Dockerfile",
    }


def encoded64(text: str) -> str:
    """As Go has bytes in JSON."""
    return base64.b64encode(encoded(text)).decode()


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def span(line: int, end: int) -> dict[str, Any]:
    return {"start": {"line": line}, "end": {"line": max(line, end)}}


def location(line: int, end: int) -> dict[str, Any]:
    return {"ranges": [span(line, end)] if line else []}


def detail(filename: str, text: str, line: int, end: int) -> tuple[str, bytes]:
    """Of an error: a type's URL and its value; clients print the lines."""
    document = {"info": source(filename, text), "ranges": [span(line, end)]}
    return _DETAIL, json.dumps(document).encode()
