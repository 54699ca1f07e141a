"""`logs`: the json-file log of the monitor, read back.

    async for chunk in logs.read(container, Options(tail=10, follow=True)): …

A chunk is ready to send: frames of Docker's multiplexed stream, or a terminal's plain text. Rotated
files (`….1` is the youngest) are read oldest first. `follow` waits by inotify(7) for growth of the
file and for its rotation; since the open descriptor stays with the old file until that is read to
its end, no record is lost or doubled.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from sampan.engine.containers import log_config
from sampan.engine.errors import NotImplementedHere
from sampan.kit import clock, errors
from sampan.kit.record import Record
from sampan.kit.threads import in_thread
from sampan.linux import inotify
from sampan.spec import docker_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import BinaryIO

    from sampan.engine.containers.container import Container

CHUNK = 256 << 10
_LITTLE = 4 << 10  # bytes
_STREAMS = {"stdout": docker_stream.STDOUT, "stderr": docker_stream.STDERR}


class Options(Record):
    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    timestamps: bool = False
    details: bool = False
    since: int | None = None  # nanoseconds since 1970
    until: int | None = None
    tail: int | None = None  # None: all
    multiplexed: bool = True


def check(container: Container, options: Options) -> None:
    if not (options.stdout or options.stderr):
        raise errors.InvalidArgument("Bad parameters: you must choose at least one stream")
    if not log_config.readable(container.host_config):
        raise NotImplementedHere("configured logging driver does not support reading")


async def read(container: Container, options: Options) -> AsyncIterator[bytes]:
    """Chunks of output that exist, then with `follow` those to come until the container ends."""
    path = container.log_path
    watch = _watch(os.path.dirname(path)) if options.follow else None
    files: list[BinaryIO] = []
    try:
        files = await in_thread(_files, path)
        current = files[-1] if files else None
        lines = _tail(files, options) if options.tail is not None else _all(files)
        while chunk := await in_thread(_chunk, lines, options):
            yield chunk
        if watch is not None and current is not None:
            async for chunk in _follow(container, current, watch, options):
                yield chunk
    finally:
        if watch is not None:
            os.close(watch)
        for file in files:
            file.close()


def _watch(directory: str) -> int:
    fd = inotify.create()
    inotify.add_watch(fd, directory, inotify.IN.MODIFY | inotify.IN.MOVED_TO | inotify.IN.CREATE)
    return fd


def _open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        return None


def _files(path: str) -> list[BinaryIO]:
    """All files of the log, oldest first, the current one last; none has moved meanwhile."""
    while True:
        current = _open(path)
        files = _rotated(path)
        if current is None:
            return files
        if not _renamed(current, path):
            return [*files, current]
        for file in (*files, current):
            file.close()


def _rotated(path: str) -> list[BinaryIO]:
    files: list[BinaryIO] = []
    number = 1
    while file := _open(f"{path}.{number}") or _unpacked(f"{path}.{number}.gz"):
        files.insert(0, file)
        number += 1
    return files


def _unpacked(path: str) -> BinaryIO | None:
    """A compressed file as a plain one that has no name."""
    packed = _open(path)
    if packed is None:
        return None
    plain = tempfile.TemporaryFile(dir=os.path.dirname(path))  # noqa: SIM115 - the caller closes
    with packed, gzip.open(packed) as source:
        shutil.copyfileobj(source, plain, CHUNK)
    plain.seek(0)
    return plain


def _all(files: list[BinaryIO]) -> Iterator[bytes]:
    for file in files:
        yield from _whole_lines(file)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their newline; an unfinished one at the end is left for later."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _tail(files: list[BinaryIO], options: Options) -> Iterator[bytes]:
    """The last lines that the options select; each file is read backwards only as far as needed."""
    left = options.tail or 0
    found: list[list[bytes]] = []
    for file in reversed(files):
        position = file.seek(0, os.SEEK_END)
        if left <= 0:
            break
        lines, end = _last_lines(file, position, left, options)
        file.seek(end)
        found.append(lines)
        left -= len(lines)
    for lines in reversed(found):
        yield from lines


def _last_lines(
    file: BinaryIO, position: int, count: int, options: Options
) -> tuple[list[bytes], int]:
    """Up to `count` selected lines before `position`, and where the last whole line ends."""
    found: list[bytes] = []
    data, end = b"", None
    while position > 0 and len(found) < count:
        step = min(CHUNK, position)
        position -= step
        file.seek(position)
        data = file.read(step) + data
        if end is None:
            cut = data.rfind(b"\n") + 1
            if not cut:
                continue
            end = position + cut
            data = data[:cut]
        lines = data.splitlines(keepends=True)
        data = lines.pop(0) if position > 0 else b""
        for line in reversed(lines):
            if len(found) < count and _selected(line, options) is not None:
                found.append(line)
    if data and position == 0 and len(found) < count and data.endswith(b"\n"):
        found.append(data)
    return found[::-1], end or 0


def _chunk(lines: Iterator[bytes], options: Options) -> bytes:
    """Formatted records until there is enough for one write; empty at the end."""
    parts, size = [], 0
    for line in lines:
        record = _selected(line, options)
        if record is None:
            continue
        text = format_record(record, options)
        parts.append(text)
        size += len(text)
        if size >= CHUNK:
            break
    return b"".join(parts)


def _selected(line: bytes, options: Options) -> dict[str, Any] | None:
    """The record, if streams and times say so; a line that is no JSON is skipped."""
    try:
        record: dict[str, Any] = json.loads(line)
        wanted = getattr(options, record["stream"])
    except (ValueError, KeyError, AttributeError):
        return None
    if not wanted:
        return None
    if options.since is not None or options.until is not None:
        when = clock.parse(record["time"])
        if options.since is not None and when < options.since:
            return None
        if options.until is not None and when > options.until:
            return None
    return record


def format_record(record: dict[str, Any], options: Options) -> bytes:
    text: str = record["log"]
    if options.details:
        attributes = sorted((record.get("attrs") or {}).items())
        text = ",".join(f"{k}={v}" for k, v in attributes) + " " + text
    if options.timestamps:
        text = f"{record['time']} {text}"
    payload = text.encode("utf-8", "surrogatepass")
    if not options.multiplexed:
        return payload
    return docker_stream.encode(
        docker_stream.Frame(stream=_STREAMS[record["stream"]], payload=payload)
    )


async def _follow(
    container: Container, file: BinaryIO, watch: int, options: Options
) -> AsyncIterator[bytes]:
    """New records as they come, over rotations, until the container has ended and all is read."""
    loop = asyncio.get_running_loop()
    grown = asyncio.Event()
    loop.add_reader(watch, grown.set)
    ended = loop.create_task(_ended(container, grown))
    path = container.log_path
    try:
        while True:
            over = not container.running
            grown.clear()
            inotify.read(watch)
            while chunk := await _next(file, options):
                yield chunk
            if _renamed(file, path):
                # Whatever was written before the rename is in the old file: read it once more.
                while chunk := await _next(file, options):
                    yield chunk
                following = _open(path)
                if following is not None:
                    file.close()
                    file = following
                    continue
            if over or (options.until is not None and _now() > options.until):
                return
            await grown.wait()
    finally:
        ended.cancel()
        loop.remove_reader(watch)
        file.close()


async def _next(file: BinaryIO, options: Options) -> bytes:
    """A little is read at once; a thread's hop pays from some thirty records on."""
    if os.fstat(file.fileno()).st_size - file.tell() < _LITTLE:
        return _chunk(_whole_lines(file), options)
    return await in_thread(_chunk, _whole_lines(file), options)


def _now() -> int:
    import time

    return time.time_ns()


def _renamed(file: BinaryIO, path: str) -> bool:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(file.fileno())
    return (mine.st_dev, mine.st_ino) != (status.st_dev, status.st_ino)


async def _ended(container: Container, grown: asyncio.Event) -> None:
    async with container.changed:
        await container.changed.wait_for(lambda: not container.running)
    grown.set()
