"""The registry as a running program: its folder, its address, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.registry.server.app import Server
from sampan.registry.server.htpasswd import Users
from sampan.registry.server.index import Index
from sampan.registry.server.storage import FileStorage

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 1024
_COLLECT = 3600.0  # seconds between collections, and the grace of what lies about
_GRACE = 24 * 3600.0


async def serve(
    root: str,
    address: tuple[str, int],
    *,
    tls: tuple[str, str] | None = None,
    htpasswd: str = "",
    ready: Callable[[str], object] = lambda _: None,
) -> None:
    """Until SIGTERM or SIGINT. Raises Unavailable where it cannot listen."""
    users = Users(htpasswd) if htpasswd else None
    context = _context(tls) if tls else None
    os.makedirs(root, mode=0o755, exist_ok=True)
    sock = _listen(address)
    storage, index = FileStorage(root), Index(f"{root}/index.db")
    server = Server(storage, index, users)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start(sock, context)
    collecting = asyncio.create_task(_collect(index, storage))
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ready(f"{'https' if tls else 'http'}://{shown}")
    try:
        await stop.wait()
    finally:
        collecting.cancel()
        await server.stop()
        index.close()


async def _collect(index: Index, storage: FileStorage) -> None:
    while True:
        await asyncio.sleep(_COLLECT)
        index.collect(storage, grace=_GRACE)


def _listen(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot listen at {address[0]}:{address[1]}: {(error.strerror or str(error)).lower()}"
        ) from error


def _context(tls: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls[0], tls[1] or None)
    except (OSError, ssl.SSLError) as error:
        raise errors.InvalidArgument(f"{tls[0]}, {tls[1]}: {error}") from error
    return context
