"""Who may use a registry: an htpasswd file with bcrypt entries, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import os

from sampan.kit import errors

_KINDS = ("$2a$", "$2b$", "$2y$")


class Users:
    """A password is hashed once and remembered (as a digest), because bcrypt is slow on purpose."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._entries: dict[str, bytes] = {}
        self._accepted: dict[str, bytes] = {}
        self._read()

    def accept(self, user: str, password: str) -> bool:
        import bcrypt

        self._read()
        entry = self._entries.get(user)
        if entry is None:
            return False
        digest = hashlib.sha256(entry + password.encode()).digest()
        if hmac.compare_digest(self._accepted.get(user, b""), digest):
            return True
        if not bcrypt.checkpw(password.encode()[:72], entry):
            return False
        self._accepted[user] = digest
        return True

    def _read(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = status.st_mtime_ns, status.st_ino
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError as error:
            raise errors.InvalidArgument(f"{self._path}: {error.strerror}") from error
        entries = {}
        for number, line in enumerate(lines, 1):
            user, colon, hashed = line.strip().partition(":")
            if not line.strip() or line.startswith("#"):
                continue
            if not colon or not hashed.startswith(_KINDS):
                raise errors.InvalidArgument(
                    f"{self._path}:{number}: only bcrypt entries are understood (htpasswd -B)"
                )
            entries[user] = hashed.encode()
        self._entries, self._accepted, self._stamp = entries, {}, stamp
