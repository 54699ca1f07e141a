"""What an answer outside the 200s says, and how an answer that nobody reads ends."""

from __future__ import annotations

import json
from typing import NamedTuple

import aiohttp

_ERROR_BYTES = 64 << 10


class Problem(NamedTuple):
    """An error document (distribution-spec, "Error codes"), or what stands in for it."""

    codes: tuple[str, ...]
    message: str


async def problem(response: aiohttp.ClientResponse) -> Problem:
    """What an answer says went wrong; closes the response."""
    async with response:
        try:
            body = b""
            while len(body) < _ERROR_BYTES and (part := await response.content.readany()):
                body += part
        except (aiohttp.ClientError, OSError):
            body = b""
    return read_problem(body, response.reason or f"HTTP {response.status}")


def read_problem(body: bytes, otherwise: str) -> Problem:
    """The error document's codes and messages, or the token server's `details`."""
    try:
        document = json.loads(body)
        found = document.get("errors") or []
        codes = tuple(str(item.get("code", "")) for item in found)
        said = [str(item.get("message") or item.get("code")).strip() for item in found]
        named = document.get("details") or document.get("error_description")
        message = ", ".join(said) or str(named or document.get("error") or otherwise)
    except (ValueError, AttributeError):
        return Problem((), otherwise.lower())
    return Problem(codes, message)


async def discard(response: aiohttp.ClientResponse) -> None:
    """Read the little that is left so that the connection can be used again."""
    async with response:
        if response.content_length is not None and response.content_length <= _ERROR_BYTES:
            try:
                await response.read()
            except (aiohttp.ClientError, OSError):
                response.close()
        else:
            response.close()
