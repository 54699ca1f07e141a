"""What a frontend can be asked instead of a build: `frontend.lint`, for `docker build --check`.

The answer is metadata, which the client prints. Source: moby/buildkit frontend/subrequests/lint.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.build import checks
from sampan.buildkit.source import location, source
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.buildkit.result import Result

_LINT = "frontend.lint"


def answer(name: str, result: Result) -> dict[str, bytes]:
    """Raises Unsupported."""
    if name != _LINT:
        raise errors.Unsupported(f"the request {name} is not supported yet")
    request = result.request()
    found = checks.look(
        request.dockerfile,
        checks.Inputs(
            platform=request.platform,
            args=request.args,
            target=request.target,
            ignored=request.ignored,
        ),
    )
    warnings: list[dict[str, Any]] = [
        {
            "ruleName": one.rule,
            "url": one.url,
            "detail": one.message,
            "location": location(one.line, one.end),
        }
        for one in found
    ]
    filename = result.asked.filename
    document = {"warnings": warnings, "sources": [source(filename, result.text)]}
    return {
        "result.json": json.dumps(document).encode(),
        "result.txt": checks.full(found, result.text, filename).encode(),
        "result.statuscode": b"1" if found else b"0",
        "version": b"1.0.0",
    }
