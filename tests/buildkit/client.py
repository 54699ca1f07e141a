"""A client's side of a session, as small as it can be: what it offers, on a socket pair.

async with session(client) as (session, …): await filesync.fetch(session, …)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from sampan.buildkit import filesync, gomode, grpc, messages, sessions
from sampan.image import tar

Message = dict[str, Any]
REGULAR, LINK, DIRECTORY = 0o755, 1 << 27 | 0o777, 1 << 31 | 0o755


class Client:
    """Serves `files`: path → bytes, a link's target (str), or None for a directory."""

    def __init__(self, files: dict[str, bytes | str | None] | None = None) -> None:
        self.files = files or {}
        self.mtime = 10**9
        self.piece = 7  # bytes of a DATA packet
        self.asked: list[str] = []  # whose bytes were sent
        self.metadata: list[tuple[str, str]] = []
        self.script: list[Message] | None = None  # packets to send instead
        self.service = grpc.Service()
        self.service.streaming(filesync.METHOD, messages.PACKET, messages.PACKET, self.diff_copy)

    def stats(self) -> list[Message]:
        listed = []
        for path in sorted(self.files, key=lambda p: p.encode().split(b"/")):
            body = self.files[path]
            stat: Message = {"path": path, "mode": REGULAR, "modTime": self.mtime}
            if body is None:
                stat["mode"] = DIRECTORY
            elif isinstance(body, str):
                stat |= {"mode": LINK, "linkname": body}
            else:
                stat["size"] = len(body)
            listed.append(stat)
        return listed

    async def diff_copy(self, stream: Any) -> None:
        self.metadata = list((stream.metadata or {}).items())
        if self.script is not None:
            for packet in self.script:
                await stream.send_message(packet)
            return
        wanted = [value for name, value in self.metadata if name == "followpaths"]
        links = (self.files.get(path) for path in wanted)
        wanted += [target for target in links if isinstance(target, str)]
        stats = [stat for stat in self.stats() if not wanted or stat["path"] in wanted]
        for stat in stats:
            await stream.send_message({"type": filesync.STAT, "stat": stat})
        await stream.send_message({"type": filesync.STAT})
        async for packet in stream:
            if packet["type"] == filesync.FIN:
                await stream.send_message({"type": filesync.FIN})
                return
            assert packet["type"] == filesync.REQUEST
            path = stats[packet["ID"]]["path"]
            self.asked.append(path)
            body = self.files[path]
            assert isinstance(body, bytes)
            for at in range(0, len(body), self.piece):
                data = body[at : at + self.piece]
                await stream.send_message({"type": filesync.DATA, "ID": packet["ID"], "data": data})
            await stream.send_message({"type": filesync.DATA, "ID": packet["ID"]})


@contextlib.asynccontextmanager
async def session(client: Client) -> AsyncIterator[sessions.Session]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    serving = asyncio.create_task(grpc.serve(theirs, b"", [client.service]))
    channel = await grpc.dial(ours, b"")
    said = sessions.hello({"X-Docker-Expose-Session-Uuid": "s"}, [*client.service.methods])
    try:
        yield sessions.Session(said, channel)
    finally:
        channel.close()
        await serving


def contents(tree: filesync.Tree, top: str = "") -> dict[str, bytes | str | None]:
    """A tree as `Client.files` has it."""
    found: dict[str, bytes | str | None] = {}
    for name in tree.children(top):
        path = f"{top}/{name}" if top else name
        entry = tree.entry(path)
        assert entry is not None
        if entry.kind == tar.DIRECTORY:
            found[path] = None
            found |= contents(tree, path)
        elif entry.kind == tar.SYMLINK:
            found[path] = entry.link
        else:
            parts: list[bytes] = []
            tree.copy(path, parts.append)
            found[path] = b"".join(parts)
            assert entry.mode == gomode.permissions(REGULAR)
    return found
