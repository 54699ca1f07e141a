"""moby.filesync.v1.FileSend/DiffCopy: what was built goes to the client, as one file or as a tree.

Where it puts it is the client's affair; which of its outputs is meant, metadata tell. A tree goes
in the protocol of `filesync`, the other way round: we list, the client asks. Source: moby/buildkit
session/filesync/filesync.go, tonistiigi/fsutil send.go.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.build import files
from sampan.buildkit import gomode, messages
from sampan.buildkit.filesync import DATA, ERROR, FIN, REQUEST, STAT
from sampan.buildkit.grpc import translated
from sampan.engine.images import archives
from sampan.image import tar
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpclib.client import Stream

    from sampan.build.files import Files
    from sampan.buildkit.sessions import Session

    Message = dict[str, Any]

_METHOD = "/moby.filesync.v1.FileSend/DiffCopy"
_EXPORTER = "buildkit-attachable-exporter-id"
_PIECE = 1 << 20  # bytes; Go's gRPC takes messages of up to 4 MiB
_AT_ONCE = 4 << 20  # bytes of a file that is read in one go


def _check(session: Session) -> None:
    if not session.offers(_METHOD):
        raise errors.InvalidArgument("the client's session takes no files: it gave no destination")


async def stream_to(session: Session, exporter: int, chunks: AsyncIterator[bytes]) -> int:
    """One file; the bytes sent."""
    _check(session)
    sent = 0
    with translated():
        async with session.channel.open(
            _METHOD, messages.DATA, messages.DATA, [(_EXPORTER, str(exporter))]
        ) as stream:
            await stream.send_request()
            async for chunk in chunks:
                for at in range(0, len(chunk), _PIECE):
                    await stream.send_message({"data": chunk[at : at + _PIECE]})
                sent += len(chunk)
            await stream.end()
            await stream.recv_message()
    return sent


async def tree_to(session: Session, exporter: int, tree: Files) -> None:
    _check(session)
    with translated():
        async with session.channel.open(
            _METHOD, messages.PACKET, messages.PACKET, [(_EXPORTER, str(exporter))]
        ) as stream:
            await stream.send_request()
            await _Sender(stream, tree).run()


class _Sender:
    def __init__(self, stream: Stream[Message, Message], tree: Files) -> None:
        self._stream, self._tree = stream, tree
        self._paths: list[str] = []
        self._requests: asyncio.Queue[int] = asyncio.Queue()

    async def run(self) -> None:
        working = asyncio.create_task(self._work())
        try:
            while (packet := await self._stream.recv_message()) is not None:
                if packet["type"] == REQUEST:
                    self._requests.put_nowait(packet["ID"])
                elif packet["type"] == ERROR:
                    text = packet["data"].decode("utf-8", "replace")
                    raise errors.InvalidArgument(f"error from receiver: {text}")
                elif packet["type"] == FIN:
                    await self._stream.send_message({"type": FIN}, end=True)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _work(self) -> None:
        """List all files, then send the bytes of those that were asked for."""
        try:
            await self._list()
            while True:
                await self._send(await self._requests.get())
        except (errors.SampanError, OSError) as error:
            await self._stream.send_message({"type": ERROR, "data": str(error).encode()})

    async def _list(self) -> None:
        paths = await in_thread(lambda: [*files.below(self._tree)])
        for path in paths:
            entry = self._tree.entry(path)
            if entry is not None:
                self._paths.append(path)
                await self._stream.send_message({"type": STAT, "stat": _stat(path, entry)})
        await self._stream.send_message({"type": STAT})

    async def _send(self, position: int) -> None:
        if position >= len(self._paths):
            raise errors.InvalidArgument(f"no file {position} was listed")
        path = self._paths[position]
        entry = self._tree.entry(path)
        if entry is not None and entry.size <= _AT_ONCE:
            parts: list[bytes] = []
            await in_thread(self._tree.copy, path, parts.append)
            await self._pieces(position, b"".join(parts))
        else:
            async for chunk in archives.produced(lambda write: self._tree.copy(path, write)):
                await self._pieces(position, chunk)
        await self._stream.send_message({"type": DATA, "ID": position})

    async def _pieces(self, position: int, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            await self._stream.send_message({"type": DATA, "ID": position, "data": piece})


def _stat(path: str, entry: tar.Entry) -> Message:
    return {
        "path": path,
        "mode": gomode.of(entry.kind, entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size if entry.kind == tar.REGULAR else 0,
        "modTime": entry.mtime,
        "linkname": entry.link,
        "devmajor": entry.device[0],
        "devminor": entry.device[1],
        "xattrs": entry.xattrs,
    }
