"""One pass over a layer's tar that makes it the same for everybody.

Times are clamped, what only this run or this host knows is left out: logs, caches, lists of
packages, locks, back-ups, byte code, the identity of the machine, its name and its resolver.
See also reproducible-builds.org on SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.image import tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DROPPED = frozenset((
    "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab", "etc/machine-id", "etc/.pwd.lock",
    "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
    "etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap", "usr/sbin/policy-rc.d",
    "var/cache/ldconfig/aux-cache", "var/cache/apt/archives/lock",
    "var/lib/apt/daily_lock", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed",
    "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers/Lock",
    "var/log/alternatives.log", "var/log/bootstrap.log", "var/log/dpkg.log",
    "var/log/fontconfig.log",
))  # fmt: skip
_EMPTIED = (
    "dev/", "proc/", "sys/", "run/", "tmp/", "var/tmp/",
    "var/lib/apt/lists/", "var/log/apt/",
)  # fmt: skip
_KEPT = frozenset({"run/lock"})
_BACKED_UP = ("var/lib/dpkg/", "var/cache/debconf/")


def dropped(name: str) -> bool:
    """Whether a path (relative, without a slash at its end) stays out of images."""
    if name in _DROPPED or (name.startswith(_EMPTIED) and name not in _KEPT):
        return True
    if name.startswith(_BACKED_UP) and name.endswith("-old"):
        return True
    if name.startswith("var/cache/apt/") and name.endswith((".bin", ".deb")):
        return True
    return name.endswith((".pyc", "/__pycache__")) or "/__pycache__/" in name


def copy(
    chunks: Iterator[bytes],
    write: Callable[[bytes], object],
    *,
    epoch: int,
    files: Mapping[str, bytes] | None = None,
    hides: Callable[[str], bool] = lambda directory: True,
) -> None:
    """Copy a tar, made normal; `files` (path → contents) replace or join what is there.

    `epoch`: seconds since 1970; no time in the copy is later. `hides` tells whether a directory's
    opaque mark hides anything below it.
    """
    source = tar.Source(chunks)
    writer = tar.Writer(write)
    added = files or {}
    for entry in tar.read(source):
        entry.name = entry.name.removeprefix("./").rstrip("/")
        hidden = entry.name.replace(".wh.", "", 1)  # a whiteout goes with what it hides
        if not entry.name or entry.name == "." or hidden in added or dropped(hidden):
            continue
        above, _, last = entry.name.rpartition("/")
        if last == ".wh..wh..opq" and not hides(above):
            continue
        if entry.kind == tar.HARD_LINK:
            entry.link = entry.link.removeprefix("./")
        _clamp(entry, epoch)
        writer.begin(entry)
        if entry.size:
            for piece in source.pieces(entry.size):
                write(bytes(piece))
            writer.pad(entry.size)
    source.drain()
    for name, data in sorted(added.items()):
        entry = tar.Entry(name, mode=0o644)
        entry.mtime = epoch * 10**9
        writer.add(entry, data)
    writer.finish()


def _clamp(entry: tar.Entry, epoch: int) -> None:
    entry.mtime = min(entry.mtime // 10**9, epoch) * 10**9
