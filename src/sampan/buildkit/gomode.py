"""Go's os.FileMode, in which fsutil tells a file's kind and permissions (pkg.go.dev/io/fs)."""

from __future__ import annotations

from sampan.image import tar

_DIRECTORY, _SYMLINK, _DEVICE, _FIFO = 1 << 31, 1 << 27, 1 << 26, 1 << 25
_SOCKET, _CHARACTER, _IRREGULAR = 1 << 24, 1 << 21, 1 << 19
_SETUID, _SETGID, _STICKY = 1 << 23, 1 << 22, 1 << 20
_TYPES = _DIRECTORY | _SYMLINK | _DEVICE | _FIFO | _SOCKET | _CHARACTER | _IRREGULAR
_KINDS = {
    0: tar.REGULAR,
    _DIRECTORY: tar.DIRECTORY,
    _SYMLINK: tar.SYMLINK,
    _DEVICE: tar.BLOCK_DEVICE,
    _DEVICE | _CHARACTER: tar.CHARACTER,
    _FIFO: tar.FIFO,
}
_BITS = {kind: bits for bits, kind in _KINDS.items()}


def kind_of(mode: int) -> int | None:
    """tar's kind; None for a socket and whatever else no layer can hold."""
    return _KINDS.get(mode & _TYPES)


def permissions(mode: int) -> int:
    """As chmod(2) takes them."""
    special = (0o4000 if mode & _SETUID else 0) | (0o2000 if mode & _SETGID else 0)
    return mode & 0o777 | special | (0o1000 if mode & _STICKY else 0)


def of(kind: int, permissions: int) -> int:
    bits = _BITS.get(tar.REGULAR if kind == tar.HARD_LINK else kind, 0)
    bits |= _SETUID if permissions & 0o4000 else 0
    bits |= _SETGID if permissions & 0o2000 else 0
    return bits | (_STICKY if permissions & 0o1000 else 0) | permissions & 0o777
