"""A file as an answer: whole or a range, by sendfile(2); the connection goes on afterwards."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Sent(web.StreamResponse):
    """The head is written here as well, because the bytes go past aiohttp's writer."""

    def __init__(self, path: str, size: int, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self._path, self._size = path, size

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client went away")
        status, first, count = _span(request.headers.get("Range", ""), self._size)
        self.set_status(status)
        self._keep_alive = request.keep_alive
        lines = [
            f"HTTP/1.1 {status} {self.reason}",
            *(f"{k}: {v}" for k, v in self.headers.items()),
        ]
        lines += ["Accept-Ranges: bytes", f"Content-Length: {count}"]
        if status == 206:
            lines.append(f"Content-Range: bytes {first}-{first + count - 1}/{self._size}")
        elif status == 416:
            lines.append(f"Content-Range: bytes */{self._size}")
        lines += ["Content-Type: application/octet-stream"]
        lines += [f"Connection: {'keep-alive' if request.keep_alive else 'close'}", "", ""]
        transport.write("\r\n".join(lines).encode())
        if request.method != "HEAD" and count:
            with open(self._path, "rb") as file:  # noqa: ASYNC230 - a local file, ready to be sent
                loop = asyncio.get_running_loop()
                await loop.sendfile(transport, file, first, count)
        return None

    @property
    def prepared(self) -> bool:
        return False

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def _span(text: str, size: int) -> tuple[int, int, int]:
    """(status, first byte, how many) for a Range header (RFC 9110, 14.2); several ranges, or
    something else than bytes, count as none."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return 200, 0, size
    if not match[1]:
        count = min(int(match[2]), size)
        return (206, size - count, count) if count else (416, 0, 0)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if first >= size or first > last:
        return 416, 0, 0
    return 206, first, last - first + 1
