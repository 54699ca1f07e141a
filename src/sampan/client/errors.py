"""What an engine refuses, and what keeps us from asking it.

The engine answers `{"message": "…"}` with a status; the status picks the kind, the message is
kept word for word, because people and programs look for Docker's texts.
"""

from __future__ import annotations

from sampan.client import wirejson
from sampan.kit import errors


class ApiError(errors.SampanError):
    """The engine answered with an error; `status` is the HTTP status."""

    status = 500
    in_stream = False  # whether it came in a stream that had begun well

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class BadRequest(ApiError, errors.InvalidArgument): ...


class NotFound(ApiError, errors.NotFound): ...


class Conflict(ApiError, errors.Conflict): ...


class Unsupported(ApiError, errors.Unsupported): ...


class Unavailable(ApiError, errors.Unavailable): ...


class BadAddress(errors.InvalidArgument):
    """A host (`-H`, SAMPAN_HOST) that names no address."""


class Unreachable(errors.Unavailable):
    """Nobody answers at `address`."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot reach the engine at {address}: {reason}")
        self.address = address
        self.reason = reason


class BrokenAnswer(errors.Unavailable):
    """The engine, or something in its place, does not speak HTTP, or stopped in mid-sentence."""


_KINDS: dict[int, type[ApiError]] = {
    400: BadRequest,
    404: NotFound,
    405: Unsupported,
    409: Conflict,
    501: Unsupported,
    503: Unavailable,
}


def from_answer(status: int, reason: str, body: bytes) -> ApiError:
    """The error that an answer with a status of 400 or more carries."""
    text = body.decode("utf-8", "replace").strip()
    try:
        message = wirejson.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text or f"the engine answered {status} {reason}"
    return _KINDS.get(status, ApiError)(str(message), status)
