"""CRIU, which saves and restores the processes of this kernel, through its own wire.

`criu swrk FD` serves one request: protobuf messages, one a packet of a SOCK_SEQPACKET pair
(https://criu.org/RPC; the numbers are those of its images/rpc.proto). While it works it tells of
stages (`post-restore`, …) and waits for an answer to each.

    worker = criu.start()
    answer = worker.request(criu.DUMP, {"pid": 42, "images_dir_fd": 5}, told)
"""

from __future__ import annotations

import _socket
import os

from sampan.kit import errors
from sampan.linux import files, namespaces, signals
from sampan.linux.namespaces import CLONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = dict[int, list[int | bytes]]
    Told = Callable[[str, int, int], None]  # stage, the first process, descriptor or -1

DUMP, RESTORE, PRE_DUMP, _NOTIFY = 1, 2, 4, 6
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
EMPTY_NETWORK = 0x40000000  # CLONE_NEWNET, for `empty_ns`
_OPTIONS = {
    "images_dir_fd": 1, "pid": 2, "leave_running": 3, "ext_unix_sk": 4, "tcp_established": 5,
    "evasive_devices": 6, "shell_job": 7, "file_locks": 8, "log_level": 9, "log_file": 10,
    "ps": 11, "notify_scripts": 12, "root": 13, "parent_img": 14, "track_mem": 15,
    "auto_dedup": 16, "work_dir_fd": 17, "link_remap": 18, "force_irmap": 21,
    "manage_cgroups": 24, "cg_root": 25, "rst_sibling": 26, "inherit_fd": 27,
    "manage_cgroups_mode": 34, "external": 37, "empty_ns": 38, "freeze_cgroup": 44,
    "tcp_skip_in_flight": 46, "orphan_pts_master": 50, "config_file": 51, "lsm_profile": 53,
}  # fmt: skip
_MESSAGES = {
    "ps": {"address": 1, "port": 2},
    "cg_root": {"ctrl": 1, "path": 2},
    "inherit_fd": {"key": 1, "fd": 2},
}
_MAX = 128 << 10
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # of what it calls, where we have none


class CriuMissing(errors.Unsupported):
    """The program is not installed."""


class CriuFailed(errors.Conflict):
    """It could not do what it was asked; `code` is its errno."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Worker:
    """A criu that waits for one request; a child of this process, or a sibling."""

    def __init__(self, pid: int, wire: Any, *, sibling: bool = False) -> None:
        self.pid, self._wire, self._sibling = pid, wire, sibling

    def request(self, kind: int, options: dict[str, Any], told: Told) -> int:
        """The restored process's id (0 for a dump). Raises CriuFailed."""
        try:
            self._wire.send(encode_request(kind, options))
            while True:
                answer, descriptor = self._receive()
                if _number(answer, 1) != _NOTIFY:
                    break
                notify = decode(_bytes(answer, 5))
                told(_bytes(notify, 1).decode(), _number(notify, 2), descriptor)
                self._wire.send(_varint_field(1, _NOTIFY) + _varint_field(3, 1))
        except (BrokenPipeError, ConnectionResetError):
            raise CriuFailed("it ended without an answer", 0) from None
        finally:
            self.close()
        if not _number(answer, 2):
            text = _bytes(answer, 9).decode(errors="replace").strip()
            raise CriuFailed(text or "no reason given", _number(answer, 7))
        return _number(decode(_bytes(answer, 4)), 1)

    def _receive(self) -> tuple[Fields, int]:
        data, rights, _flags, _address = self._wire.recvmsg(_MAX, 64, _socket.MSG_CMSG_CLOEXEC)
        if not data:
            raise ConnectionResetError
        found = [item for _level, _kind, item in rights]
        return decode(data), int.from_bytes(found[0][:4], "little") if found else -1

    def close(self) -> None:
        """Let it end, and reap it."""
        self._wire.close()
        if self.pid and not self._sibling:
            os.waitpid(self.pid, 0)
        self.pid = 0


def start(path: str = "", *, sibling: bool = False) -> Worker:
    """It has our namespaces, and finds our descriptors by their numbers. Raises CriuMissing.

    A `sibling` is our parent's child, who reaps it; with `rst_sibling` so is what it restores.
    """
    path = path or program()
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = namespaces.clone3(CLONE.PARENT, exit_signal=0)[0] if sibling else os.fork()
    if pid == 0:
        try:
            signals.reset()
            wire = theirs.fileno()
            os.set_inheritable(wire, True)
            os.execve(path, [path, "swrk", str(wire)], {"PATH": _PATH, **os.environ})
        finally:
            os._exit(1)
    theirs.close()
    return Worker(pid, ours, sibling=sibling)


def program() -> str:
    """Its path. Raises CriuMissing."""
    for directory in os.get_exec_path():
        if files.executable(path := f"{directory}/criu"):
            return path
    raise CriuMissing("criu is not installed on this host")


def encode_request(kind: int, options: dict[str, Any]) -> bytes:
    return _varint_field(1, kind) + _bytes_field(2, _encode(_OPTIONS, options))


def _encode(numbers: dict[str, int], values: dict[str, Any]) -> bytes:
    data = b""
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                item = _encode(_MESSAGES[name], item)
            if isinstance(item, str):
                item = os.fsencode(item)
            field = _bytes_field if isinstance(item, bytes) else _varint_field
            data += field(numbers[name], item)
    return data


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; what is negative has 64 bits."""
    value &= (1 << 64) - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def decode(data: bytes) -> Fields:
    """Field number → its values, numbers or bytes; raises ValueError where it is no message."""
    fields: Fields = {}
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        value: int | bytes
        if tag & 7 == 0:
            value, place = _read_varint(data, place)
        elif tag & 7 == 2:
            size, place = _read_varint(data, place)
            value, place = data[place : place + size], place + size
        else:
            raise ValueError(f"a field of criu's answer has the unknown form {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data):
            raise ValueError("criu's answer ends within a number")
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _number(fields: Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _bytes(fields: Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""
