"""moby.filesync.v1.FileSync/DiffCopy: a directory of the client, as a tree that COPY reads.

The client lists its files as STAT packets in the order of a walk, an empty one last. We ask (REQ,
by position) for those whose bytes the copy does not have; they come as DATA packets, several files
at a time, an empty one last. FIN ends it. Source: tonistiigi/fsutil receive.go.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from sampan.build.context import Context
from sampan.build.files import clean
from sampan.buildkit import gomode, messages
from sampan.buildkit.copies import Kept
from sampan.buildkit.grpc import send_all, translated
from sampan.image import tar
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grpclib.client import Stream

    from sampan.buildkit.copies import Copy
    from sampan.buildkit.inbox import Inbox
    from sampan.buildkit.sessions import Session

    Message = dict[str, Any]

METHOD = "/moby.filesync.v1.FileSync/DiffCopy"
STAT, REQUEST, DATA, FIN, ERROR = range(5)
_ZEROS = bytes(1 << 20)


class Wanted(Record):
    """Which of the client's directories, and what of it. Patterns are `.dockerignore`'s."""

    name: str
    include: Sequence[str] = ()  # these alone, and what they lead to if they are links
    exclude: Sequence[str] = ()

    def metadata(self) -> list[tuple[str, str]]:
        pairs = [("dir-name", [self.name])]
        pairs += [("followpaths", [*self.include])] if self.include else []
        pairs += [("exclude-patterns", [*self.exclude])] if self.exclude else []
        told: list[tuple[str, str]] = []
        for key, values in pairs:
            if not all(value.isascii() for value in values):
                told.append((f"{key}-encoded", "1"))
                values = [quote_plus(value, errors="surrogateescape") for value in values]
            told += [(key, value) for value in values]
        return told


class BadListing(errors.InvalidArgument):
    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"the client's files: {path!r}: {why}")


class Tree(Context):
    """Files whose bytes lie in a copy's pack."""

    def __init__(self, copy: Copy) -> None:
        super().__init__(copy.pack, iter(()))
        self._copy = copy
        self.received = 0

    def place(self, entry: tar.Entry, offset: int) -> None:
        self._add(entry, offset)

    def digest(self, path: str) -> bytes:
        """A piece of a pack never changes: what it was once found to be it is for good."""
        stat = self._piece(path)
        found = self._copy.digests.find(path, stat)
        if found is None:
            found = super().digest(path)
            self._copy.digests.note(path, stat, found)
        return found

    def _piece(self, path: str) -> str:
        return f"{self._copy.name} {self._offsets[path]} {self._entries[path].size}"

    def save(self) -> None:
        """Keep the digests for the next build."""
        self._copy.digests.save({path: self._piece(path) for path in self._offsets})

    def holds(self, path: str) -> bool:
        return not path or path in self._entries


async def fetch(
    session: Session, wanted: Wanted, copy: Copy, told: Callable[[int], object]
) -> Tree:
    """Raises Refused, SessionEnded and, of a client that breaks the protocol, BadListing.

    `told` hears of the bytes received so far.
    """
    channel = session.channel
    with translated():
        async with channel.open(
            METHOD, messages.PACKET, messages.PACKET, wanted.metadata()
        ) as stream:
            await stream.send_request()
            receiver = _Receiver(stream, copy, told)
            with channel.inbox(stream, receiver.take) as inbox:
                tree = await receiver.run(inbox)
    await in_thread(copy.save, receiver.kept)
    return tree


class _Incoming:
    """A file whose bytes are on their way."""

    __slots__ = ("entry", "offset", "stat", "written")

    def __init__(self, entry: tar.Entry, stat: tuple[Any, ...], offset: int) -> None:
        self.entry, self.stat, self.offset = entry, stat, offset
        self.written = 0


class _Receiver:
    def __init__(
        self, stream: Stream[Message, Message], copy: Copy, told: Callable[[int], object]
    ) -> None:
        self._stream, self._copy, self._told = stream, copy, told
        self._tree = Tree(copy)
        self._fd = copy.pack.fileno()
        self._requests: asyncio.Queue[int | None] = asyncio.Queue()
        self._incoming: dict[int, _Incoming] = {}
        self._position = 0
        self._previous: list[bytes] = []
        self._listed = False  # all of it
        self._finished = False
        self.kept: dict[str, Kept] = {}

    async def run(self, inbox: Inbox) -> Tree:
        asking = asyncio.create_task(self._ask())
        ending = asyncio.create_task(self._stream.recv_message())  # nothing, when all has come
        work = (asking, ending)
        try:
            either: set[asyncio.Future[Any]] = {ending, inbox.failure}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if inbox.failure.done():
                inbox.failure.result()
            if ending.result() is not None or not self._finished:
                raise errors.Unavailable("the client stopped in the middle of its files")
            await asking
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        self._told(self._tree.received)
        return self._tree

    async def _ask(self) -> None:
        """Requests have a task: they may wait for the client, who waits for us to read."""
        positions: list[int | None] = []
        while None not in positions:
            positions = [await self._requests.get()]
            while not self._requests.empty():
                positions.append(self._requests.get_nowait())
            asked = [{"type": REQUEST, "ID": at} for at in positions if at is not None]
            await send_all(self._stream, messages.PACKET, asked)
        await self._stream.send_message({"type": FIN}, end=True)

    def take(self, data: bytes) -> None:
        packet = messages.PACKET.decode(data)
        kind = packet["type"]
        if kind == STAT:
            if packet["stat"] is None:
                self._listed = True
            else:
                self._list(packet["stat"])
        elif kind == DATA:
            self._write(packet["ID"], packet["data"])
        elif kind == ERROR:
            text = packet["data"].decode("utf-8", "replace")
            raise errors.InvalidArgument(f"error from sender: {text}")
        elif kind == FIN:
            self._finished = True
        else:
            raise BadListing("", f"a packet of type {kind}")
        if self._listed and not self._incoming:
            self._listed = False
            self._requests.put_nowait(None)

    def _list(self, stat: Message) -> None:
        path, position = stat["path"], self._position
        self._position += 1
        self._check(path)
        kind = gomode.kind_of(stat["mode"])
        if kind is None:
            return
        entry = _entry(stat, kind)
        if kind != tar.REGULAR:
            self._tree.place(entry, 0)
            return
        if stat["linkname"]:
            entry.kind = tar.HARD_LINK
            self._tree.place(entry, 0)
            return
        seen = (stat["size"], stat["modTime"], stat["mode"])
        offset = self._copy.find(path, seen) if entry.size else 0
        if offset is not None:
            self._keep(entry, seen, offset)
            return
        offset = self._copy.room(entry.size)
        self._incoming[position] = _Incoming(entry, seen, offset)
        self._requests.put_nowait(position)

    def _check(self, path: str) -> None:
        """Each below a directory that was listed, and in the order of a walk."""
        if not path or clean(path) != path or "\0" in path:
            raise BadListing(path, "not a path below the directory")
        steps = path.encode("utf-8", "surrogateescape").split(b"/")
        if steps <= self._previous:
            raise BadListing(path, "out of order")
        self._previous = steps
        parent = self._tree.entry(posixpath.dirname(path))
        if parent is not None and parent.kind != tar.DIRECTORY:
            raise BadListing(path, "it lies below what is no directory")

    def _keep(self, entry: tar.Entry, stat: tuple[Any, ...], offset: int) -> None:
        self._tree.place(entry, offset)
        if entry.size:
            self.kept[entry.name] = Kept(stat=stat, offset=offset)

    def _write(self, position: int, data: bytes) -> None:
        incoming = self._incoming.get(position)
        if incoming is None:
            raise BadListing("", f"bytes of file {position}, which was not asked for")
        if not data:
            # A file that shrank meanwhile is what came; one that grew is what was announced.
            incoming.entry.size = incoming.entry.true_size = incoming.written
            del self._incoming[position]
            self._keep(incoming.entry, incoming.stat, incoming.offset)
            return
        data = data[: incoming.entry.size - incoming.written]
        if data != _ZEROS[: len(data)]:  # holes stay holes
            os.pwrite(self._fd, data, incoming.offset + incoming.written)
        incoming.written += len(data)
        self._tree.received += len(data)
        self._told(self._tree.received)


def _entry(stat: Message, kind: int) -> tar.Entry:
    entry = tar.Entry(stat["path"], kind, mode=gomode.permissions(stat["mode"]))
    if kind == tar.REGULAR and not stat["linkname"]:
        if not 0 <= stat["size"] < 1 << 62:
            raise BadListing(stat["path"], f"a size of {stat['size']} bytes")
        entry.size = entry.true_size = stat["size"]
    entry.uid, entry.gid, entry.mtime = stat["uid"], stat["gid"], stat["modTime"]
    entry.link = stat["linkname"]
    entry.device = (stat["devmajor"], stat["devminor"])
    entry.xattrs = stat["xattrs"]
    return entry
