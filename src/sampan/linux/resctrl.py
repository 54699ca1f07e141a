"""resctrl: shares of cache and memory bandwidth (Documentation/filesystems/resctrl.rst).

A group is a directory of the mount with `tasks` and `schemata`; below it `mon_groups/NAME` counts
for some of its tasks alone. Which group a container gets: runtime-spec, config-linux.md, IntelRdt.
"""

from __future__ import annotations

import os

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOUNT_POINT = "/sys/fs/resctrl"
_TAKEN = ("", ".", "..", "info", "mon_groups", "mon_data")


class ResctrlMissing(errors.Unsupported):
    """It is not mounted, or this kernel or processor has none."""


class InvalidRdt(errors.InvalidArgument):
    """linux.intelRdt asks for what cannot be; the message has the place."""


def check_mounted() -> None:
    if not os.path.exists(f"{MOUNT_POINT}/schemata"):
        raise ResctrlMissing(
            f"linux.intelRdt is set, but resctrl is not mounted at {MOUNT_POINT} on this host"
        )


def schemata(rdt: dict[str, Any]) -> str:
    """What is written to `schemata`: cache, bandwidth, then the lines of `schemata`, which win.

    Lines of bandwidth in l3CacheSchema give way to memBwSchema.
    """
    cache, bandwidth = (_text(rdt, key) for key in ("l3CacheSchema", "memBwSchema"))
    lines = cache.splitlines()
    if bandwidth:
        lines = [line for line in lines if not line.strip().startswith("MB:")]
    more = rdt.get("schemata") or []
    if not isinstance(more, list) or not all(isinstance(line, str) for line in more):
        raise InvalidRdt("linux.intelRdt.schemata must be a list of strings")
    lines += [*bandwidth.splitlines(), *more]
    for line in lines:
        if not parse(line):
            raise InvalidRdt(f"linux.intelRdt: {line!r} is no line RESOURCE:ID=VALUE;…")
    return "".join([f"{line}\n" for line in lines])


def _text(rdt: dict[str, Any], key: str) -> str:
    value = rdt.get(key) or ""
    if not isinstance(value, str):
        raise InvalidRdt(f"linux.intelRdt.{key} must be a string, not {value!r:.60}")
    return value


def parse(line: str) -> dict[tuple[str, str], str]:
    """`L3:0=0ff;1=f` as {("L3", "0"): "ff", ("L3", "1"): "f"}; {} for what is no such line."""
    resource, colon, rest = line.strip().partition(":")
    pairs = [pair.partition("=") for pair in rest.split(";") if pair.strip()]
    if not (resource and colon and all(key.strip() and value.strip() for key, _, value in pairs)):
        return {}
    return {(resource, k.strip()): v.strip().lstrip("0").lower() or "0" for k, _, v in pairs}


def differences(wanted: str, found: str) -> list[str]:
    """Lines of `wanted` that a group's `schemata` does not say; order and zeros do not count."""
    has: dict[tuple[str, str], str] = {}
    for line in found.splitlines():
        has.update(parse(line))
    return [
        line
        for line in wanted.splitlines()
        if any(has.get(key) != value for key, value in parse(line).items())
    ]


class Group:
    """That of one container. `rdt` is linux.intelRdt as JSON has it."""

    def __init__(self, rdt: dict[str, Any], container_id: str) -> None:
        self._text = schemata(rdt)
        self._id = container_id
        self._name = _text(rdt, "closID")
        inner = (self._name or container_id).strip("/")
        if self._name != "/" and (inner in _TAKEN or "/" in inner):
            raise InvalidRdt(f"linux.intelRdt.closID: {self._name!r} is no name of a group")
        self._monitored = rdt.get("enableMonitoring") is True
        self.directory = f"{MOUNT_POINT}/{inner}".rstrip("/")
        self._monitor = f"{self.directory}/mon_groups/{container_id}"

    def make(self) -> None:
        """Raises InvalidRdt where a group that was there before is not as wanted."""
        check_mounted()
        if self._name and not self._text and not os.path.isdir(self.directory):
            raise InvalidRdt(
                f"linux.intelRdt.closID: {self._name!r} does not exist, and no schema is given"
            )
        existed = os.path.isdir(self.directory)
        if not existed:
            os.mkdir(self.directory, 0o755)
        try:
            self._fill(existed=existed and bool(self._name))
            if self._monitored:
                os.mkdir(self._monitor, 0o755)
        except BaseException:
            if not existed:
                os.rmdir(self.directory)
            raise

    def _fill(self, *, existed: bool) -> None:
        path = f"{self.directory}/schemata"
        if existed:
            with open(path, encoding="utf-8") as file:
                wrong = differences(self._text, file.read())
            if wrong:
                raise InvalidRdt(
                    f"linux.intelRdt: the group {self._name!r} exists and is not {wrong[0]!r}"
                )
        elif self._text:
            self.write()

    def write(self) -> None:
        """Its schemata again, for a group that is there."""
        _write(f"{self.directory}/schemata", self._text)

    def add(self, pid: int) -> None:
        _write(f"{self.directory}/tasks", str(pid))
        if self._monitored:
            _write(f"{self._monitor}/tasks", str(pid))

    def remove(self) -> None:
        """A named group stays: others may be in it, or have made it."""
        for path in (self._monitor, "" if self._name else self.directory):
            try:
                os.rmdir(path)
            except FileNotFoundError:
                pass


def _write(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, text.encode())
        os.close(fd)
    except OSError as error:
        status = f"{MOUNT_POINT}/info/last_cmd_status"
        reason = os.strerror(error.errno or 0)
        if os.path.exists(status):  # resctrl says there what it did not like
            with open(status, encoding="utf-8") as file:
                reason = file.read().strip() or reason
        raise InvalidRdt(f"linux.intelRdt: {path}: {text.strip()!r}: {reason}") from error
