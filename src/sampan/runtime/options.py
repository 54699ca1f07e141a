"""Mount options of the runtime specification, as flags of the two mount interfaces.

`parse(("bind", "ro", "rslave", "size=1m"))` sorts them into what mount(2) takes as flags, what
mount_setattr(2) sets and clears (also recursively: `rro`), the propagation, and the rest, which is
the file system's own data.
"""

from __future__ import annotations

from sampan.kit.record import Record
from sampan.linux.mount import MOUNT_ATTR as A
from sampan.linux.mount import MS

_FLAGS = {  # option → (set in mount(2)'s flags, cleared)
    "async": (0, MS.SYNCHRONOUS),
    "atime": (0, MS.NOATIME),
    "bind": (MS.BIND, 0),
    "defaults": (0, 0),
    "dev": (0, MS.NODEV),
    "diratime": (0, MS.NODIRATIME),
    "dirsync": (MS.DIRSYNC, 0),
    "exec": (0, MS.NOEXEC),
    "iversion": (MS.I_VERSION, 0),
    "lazytime": (MS.LAZYTIME, 0),
    "loud": (0, MS.SILENT),
    "mand": (MS.MANDLOCK, 0),
    "noatime": (MS.NOATIME, 0),
    "nodev": (MS.NODEV, 0),
    "nodiratime": (MS.NODIRATIME, 0),
    "noexec": (MS.NOEXEC, 0),
    "noiversion": (0, MS.I_VERSION),
    "nolazytime": (0, MS.LAZYTIME),
    "nomand": (0, MS.MANDLOCK),
    "norelatime": (0, MS.RELATIME),
    "nostrictatime": (0, MS.STRICTATIME),
    "nosuid": (MS.NOSUID, 0),
    "nosymfollow": (MS.NOSYMFOLLOW, 0),
    "rbind": (MS.BIND | MS.REC, 0),
    "relatime": (MS.RELATIME, 0),
    "remount": (MS.REMOUNT, 0),
    "ro": (MS.RDONLY, 0),
    "rw": (0, MS.RDONLY),
    "silent": (MS.SILENT, 0),
    "strictatime": (MS.STRICTATIME, 0),
    "suid": (0, MS.NOSUID),
    "symfollow": (0, MS.NOSYMFOLLOW),
    "sync": (MS.SYNCHRONOUS, 0),
}
_PROPAGATION = {
    "shared": MS.SHARED,
    "slave": MS.SLAVE,
    "private": MS.PRIVATE,
    "unbindable": MS.UNBINDABLE,
}
PROPAGATION = {
    **_PROPAGATION,
    **{f"r{name}": flag | MS.REC for name, flag in _PROPAGATION.items()},
}
_ATTRIBUTES = {  # option → (attributes set, cleared); with an "r" before it: the whole tree
    "ro": (A.RDONLY, 0),
    "rw": (0, A.RDONLY),
    "nosuid": (A.NOSUID, 0),
    "suid": (0, A.NOSUID),
    "nodev": (A.NODEV, 0),
    "dev": (0, A.NODEV),
    "noexec": (A.NOEXEC, 0),
    "exec": (0, A.NOEXEC),
    "nodiratime": (A.NODIRATIME, 0),
    "diratime": (0, A.NODIRATIME),
    "nosymfollow": (A.NOSYMFOLLOW, 0),
    "symfollow": (0, A.NOSYMFOLLOW),
    # the three kinds of access time are one field: it is cleared before it is set
    "relatime": (0, A.ATIME),
    "norelatime": (0, A.ATIME),
    "noatime": (A.NOATIME, A.ATIME),
    "atime": (0, A.ATIME),
    "strictatime": (A.STRICTATIME, A.ATIME),
    "nostrictatime": (0, A.ATIME),
}
NAMES = (
    *_FLAGS,
    *PROPAGATION,
    *(f"r{name}" for name in _ATTRIBUTES),
    *("tmpcopyup", "idmap", "ridmap"),
)


class MountOptions(Record):
    flags: int = 0  # as mount(2) takes them
    cleared: int = 0  # those that an option switched off, as `dev` does with MS.NODEV
    recursive_set: int = 0
    recursive_clear: int = 0
    propagation: tuple[int, ...] = ()
    data: tuple[str, ...] = ()
    copy_up: bool = False
    idmap: str = ""  # "", "idmap" or "ridmap"


def parse(options: tuple[str, ...]) -> MountOptions:
    flags = cleared = 0
    recursive = [0, 0]
    propagation, data = [], []
    for option in options:
        if option in _FLAGS:
            set_, clear = _FLAGS[option]
            flags, cleared = flags & ~clear | set_, cleared & ~set_ | clear
        elif option in PROPAGATION:
            propagation.append(PROPAGATION[option])
        elif option[:1] == "r" and option[1:] in _ATTRIBUTES:
            _merge(recursive, _ATTRIBUTES[option[1:]])
        elif option not in ("tmpcopyup", "idmap", "ridmap"):
            data.append(option)
    return MountOptions(
        flags=flags,
        cleared=cleared,
        recursive_set=recursive[0],
        recursive_clear=recursive[1],
        propagation=tuple(propagation),
        data=tuple(data),
        copy_up="tmpcopyup" in options,
        idmap="ridmap" if "ridmap" in options else "idmap" if "idmap" in options else "",
    )


def _merge(pair: list[int], change: tuple[int, int]) -> None:
    set_, clear = change
    pair[0] = pair[0] & ~clear | set_
    pair[1] = pair[1] & ~(set_ & ~A.ATIME) | clear


_PLAIN = (
    (MS.RDONLY, A.RDONLY),
    (MS.NOSUID, A.NOSUID),
    (MS.NODEV, A.NODEV),
    (MS.NOEXEC, A.NOEXEC),
    (MS.NOSYMFOLLOW, A.NOSYMFOLLOW),
)
_ALL_PLAIN = A.RDONLY | A.NOSUID | A.NODEV | A.NOEXEC | A.NOSYMFOLLOW
_ATIME = MS.NOATIME | MS.NODIRATIME | MS.RELATIME | MS.STRICTATIME


def attributes(flags: int) -> int:
    """The attributes that a new mount with these flags of mount(2) gets."""
    found = A.NODIRATIME if flags & MS.NODIRATIME else 0
    for flag, attribute in _PLAIN:
        if flags & flag:
            found |= attribute
    if flags & MS.STRICTATIME:
        return found | A.STRICTATIME
    return found | A.NOATIME if flags & MS.NOATIME else found


def bind_attributes(chosen: MountOptions) -> tuple[int, int]:
    """(set, cleared) for a bind mount, as `mount -o remount,bind` has it and runc's users know it.

    No option keeps all that the source has; any option makes the mount have exactly the options
    given. The access time stays the source's until an option *sets* one of its kinds.
    """
    if not chosen.flags & ~(MS.BIND | MS.REC | MS.REMOUNT) and not chosen.cleared:
        return 0, 0
    clear = _ALL_PLAIN
    if chosen.flags & _ATIME:
        clear |= A.ATIME | A.NODIRATIME
    return attributes(chosen.flags), clear
