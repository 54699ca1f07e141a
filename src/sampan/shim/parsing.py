"""Received messages as the records of `protocol`; what does not fit raises `InvalidArgument`."""

from __future__ import annotations

from sampan.kit import errors
from sampan.shim.protocol import Archive, Attach, Exec, Log, Port, Start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sampan.kit.record import Record
    from sampan.shim.protocol import Message


def start(message: Message, fds: Sequence[int]) -> Start:
    fields = _known(Start, message)
    fields["log"] = Log(**_known(Log, fields.get("log") or {}))
    fields["attach"] = tuple(_attach(item, fds) for item in fields.get("attach") or ())
    fields["ports"] = tuple(
        Port(**{**_known(Port, item), "fd": _descriptor(item, fds)})
        for item in fields.get("ports") or ()
    )
    _tuples(fields)
    request: Start = _build(Start, fields, message)
    return request


def exec(message: Message, fds: Sequence[int]) -> Exec:
    fields = _known(Exec, message)
    if fields.get("attach"):
        fields["attach"] = _attach({**fields["attach"], "fd": 0}, fds)
    _tuples(fields)
    request: Exec = _build(Exec, fields, message)
    return request


def attach(message: Message, fds: Sequence[int]) -> Attach:
    return _attach({**message, "fd": 0}, fds)


def archive(message: Message) -> Archive:
    fields = _known(Archive, message)
    _tuples(fields)
    if fields.get("action") not in ("stat", "get", "put", "export"):
        raise errors.InvalidArgument(f"archive knows no action {fields.get('action')!r}")
    request: Archive = _build(Archive, fields, message)
    return request


def _attach(message: Message, fds: Sequence[int]) -> Attach:
    detach_keys(message.get("detach_keys") or "")  # refused here, not when they are first needed
    return Attach(**{**_known(Attach, message), "fd": _descriptor(message, fds)})


def _descriptor(message: Message, fds: Sequence[int]) -> int:
    index = message.get("fd")
    if not isinstance(index, int) or not 0 <= index < len(fds):
        raise errors.InvalidArgument(f"descriptor {index!r} is not among the {len(fds)} received")
    return fds[index]


def _known(record: type[Record], message: Message) -> Message:
    """The fields a record knows; later versions may send more."""
    return {name: message[name] for name in record._fields if name in message}


def _tuples(fields: Message) -> None:
    for name in ("size", "rootfs", "owner", "runtime"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])


def _build(record: Callable[..., Any], fields: Message, message: Message) -> Any:
    try:
        return record(**fields)
    except TypeError as missing:
        raise errors.InvalidArgument(f"message {message.get('op')!r}: {missing}") from missing


def detach_keys(text: str) -> bytes:
    """Docker's `ctrl-p,ctrl-q` as the bytes a terminal sends; "" gives none.

    Single characters, `ctrl-` with a letter or one of `@[\\]^_`, and `DEL`.
    """
    keys = bytearray()
    for name in filter(None, text.split(",")):
        control = name[5:].upper() if name.lower().startswith("ctrl-") else ""
        if len(name) == 1 and name.isascii():
            keys.append(ord(name))
        elif name == "DEL":
            keys.append(127)
        elif len(control) == 1 and "@" <= control <= "_":
            keys.append(ord(control) - 64)
        else:
            raise errors.InvalidArgument(f"unknown detach key {name!r} in {text!r}")
    return bytes(keys)
