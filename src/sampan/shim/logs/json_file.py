"""Docker's json-file log: one JSON object a line, rotated by size.

    {"log":"hello\\n","stream":"stdout","attrs":{…},"time":"2026-11-21T04:07:00.123456789Z"}

A container's write reaches the file in one write(2) however many lines it has: the JSON is made by
replacing bytes in the whole chunk, not line by line. A few lines that came together get times that
differ, so that `--since` can tell them apart; the lines of a flood share one. A line without its
end waits for it, up to 16 KiB; longer lines become several records, of which only the last ends in
a newline. When the disk is full the container goes on: whole records are dropped, counted, and a
record says so as soon as there is space. Rotation is between records, so the files together lose
and double nothing. With `compress` a rotated file becomes LOG.N.gz, by a child process, so that the
container's output does not wait for it.
"""

from __future__ import annotations

import codecs
import json
import os
import time
import zlib

from sampan.kit import clock
from sampan.shim import helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.shim.protocol import Log

LIMIT = 16 * 1024  # Docker's, moby daemon/logger/copier.go
NAMES = {1: b"stdout", 2: b"stderr"}
_APART = 64  # lines of one read that get a time each


def _escapes() -> dict[int, bytes]:
    """Go's encoding/json: control characters, and <, >, & against being read as HTML."""
    table = {byte: b"\\u%04x" % byte for byte in (*range(32), *b"<>&")}
    return {**table, ord("\r"): b"\\r", ord('"'): b'\\"'}


_ESCAPES = _escapes()
_ORDINARY = bytes(byte for byte in range(256) if byte == 10 or byte not in (*_ESCAPES, ord("\\")))


def _replace_one_byte(failure: UnicodeError) -> tuple[str, int]:
    """Go replaces each invalid byte; Python's own "replace" takes several together."""
    assert isinstance(failure, UnicodeDecodeError)
    return "\ufffd", failure.start + 1


codecs.register_error("sampan-replace", _replace_one_byte)


def escape(data: bytes) -> bytes:
    """The inside of a JSON string, newlines left as they are."""
    if not data.isascii():
        data = data.decode("utf-8", "sampan-replace").encode()
    special = set(data.translate(None, _ORDINARY))
    if special:
        if ord("\\") in special:
            data = data.replace(b"\\", b"\\\\")
            special.discard(ord("\\"))
        for byte in special:
            data = data.replace(bytes((byte,)), _ESCAPES[byte])
    return data


class JsonFile:
    """Writes chunks as they come from the container; never raises because of the disk."""

    full = False

    def __init__(self, log: Log) -> None:
        self._path, self._max_size, self._max_file = log.path, log.max_size, log.max_file
        attrs = b""
        if log.labels:
            text = json.dumps(log.labels, separators=(",", ":"), ensure_ascii=False)
            attrs = b'"attrs":' + text.encode() + b","
        self._tails = {
            stream: b'","stream":"' + name + b'",' + attrs + b'"time":"'
            for stream, name in NAMES.items()
        }
        self._held = dict.fromkeys(NAMES, b"")
        self._compress, self._compressing = log.compress, 0
        self._dropped = 0
        self._why = ""
        self._fd = -1
        self._size = 0
        self._open()

    def write(self, stream: int, chunk: bytes) -> None:
        """Log one read's worth of a stream (1 or 2)."""
        held = self._held[stream]
        if held:
            chunk = held + chunk
        now = time.time_ns()
        tail = self._tail(stream, now)
        records: list[bytes] = []
        start, size = 0, len(chunk)
        if chunk.count(b"\n") <= _APART:
            while (end := chunk.find(b"\n", start, start + LIMIT) + 1) > 0:
                records.append(_records(chunk[start:end], self._tail(stream, now + len(records))))
                start = end
        while start < size:
            end = chunk.rfind(b"\n", start, start + LIMIT) + 1
            if end:
                records.append(_records(chunk[start:end], tail))
            elif size - start < LIMIT:
                break
            else:
                end = _character_border(chunk, start + LIMIT)
                records.append(b'{"log":"' + escape(chunk[start:end]) + tail)
            start = end
        self._held[stream] = chunk[start:]
        if records:
            self._append(b"".join(records))

    def _tail(self, stream: int, nanoseconds: int) -> bytes:
        return self._tails[stream] + clock.rfc3339(nanoseconds).encode() + b'"}\n'

    def close(self) -> None:
        """Write what waits for its newline; the file is closed."""
        for stream, held in self._held.items():
            if held:
                tail = self._tails[stream] + clock.now().encode() + b'"}\n'
                self._append(b'{"log":"' + escape(held) + tail)
        self._held = dict.fromkeys(NAMES, b"")
        if self._dropped:
            self._append(b"")
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        if self._dropped and not self._confess():
            self._dropped += data.count(b"\n")
            return
        while data:
            if self._max_size and self._size >= self._max_size:
                self._rotate()
            end = len(data)
            if self._max_size and self._size + end > self._max_size:
                room = max(0, self._max_size - self._size - 1)
                end = data.find(b"\n", room) + 1
            if not self._put(data[:end]):
                self._dropped += data.count(b"\n", end)
                return
            data = data[end:]

    def _put(self, data: bytes) -> bool:
        """Append whole records; what does not fit is cut off again and counted."""
        written = 0
        try:
            if self._fd < 0:
                self._open()
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as failure:
            self._why = failure.strerror or str(failure)
            whole = data.rfind(b"\n", 0, written) + 1
            self._cut(self._size + whole, whole < written)
            self._dropped += data.count(b"\n", whole)
            return False
        self._size += written
        return True

    def _cut(self, size: int, torn: bool) -> None:
        """Forget half a record at the end of the file."""
        self._size = size
        if torn:
            try:
                os.ftruncate(self._fd, size)
            except OSError:
                pass

    def _confess(self) -> bool:
        """Say in the log how much is missing; the count stays until that has worked."""
        lost = self._dropped
        text = f"sampan: {lost} log records were lost here: {self._why}\n".encode()
        self._dropped = 0
        if self._put(_records(text, self._tails[2] + clock.now().encode() + b'"}\n')):
            return True
        self._dropped = lost
        return False

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """LOG.1 is the newest old file, LOG.(max_file - 1) the oldest."""
        try:
            if self._max_file < 2:
                os.ftruncate(self._fd, 0)
                self._size = 0
                return
            self._wait_for_compression()
            for number in range(self._max_file - 1, 0, -1):
                self._shift(number)
            os.close(self._fd)
            self._fd = -1
            self._open()
            if self._compress:
                self._compressing = os.fork()
                if self._compressing == 0:
                    helper.leave_by(lambda: compress(f"{self._path}.1"))
        except OSError:
            pass  # the full file goes on being written, or is opened again at the next record

    def _shift(self, number: int) -> None:
        """The file before this one takes its number; the one that had it is gone."""
        for end in ("", ".gz"):
            older = f"{self._path}.{number - 1}{end}" if number > 1 else self._path
            if number == 1 and end:
                return
            try:
                os.rename(older, f"{self._path}.{number}{end}")
            except FileNotFoundError:
                continue
            other = f"{self._path}.{number}{'' if end else '.gz'}"
            if os.path.exists(other):
                os.unlink(other)

    def _wait_for_compression(self) -> None:
        """Names must not move under the child; the monitor's loop may have reaped it."""
        if self._compressing:
            try:
                os.waitpid(self._compressing, 0)
            except ChildProcessError:
                pass
            self._compressing = 0


def _records(lines: bytes, tail: bytes) -> bytes:
    """Whole lines as records: one replacement for all of them."""
    head = b'{"log":"'
    body = escape(lines).replace(b"\n", b"\\n" + tail + head)
    return head + body[: -len(head)]


def _character_border(data: bytes, end: int) -> int:
    """`end`, or up to three bytes less, so that no UTF-8 character is cut."""
    for back in range(1, 4):
        byte = data[end - back]
        if byte & 0xC0 != 0x80:  # the first byte of a character, or no UTF-8 at all
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return end - back if length > back else end
    return end


def compress(path: str) -> None:
    """PATH becomes PATH.gz; a reader finds the one or the other."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(path, "rb") as source, open(f"{path}.tmp", "wb") as target:
        while chunk := source.read(1 << 18):
            target.write(packer.compress(chunk))
        target.write(packer.flush())
    os.rename(f"{path}.tmp", f"{path}.gz")
    os.unlink(path)
