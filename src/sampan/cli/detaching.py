"""The keys that leave a container running and return: `ctrl-p,ctrl-q`, or those of the user."""

from __future__ import annotations

DEFAULT_KEYS = b"\x10\x11"  # ctrl-p ctrl-q


def keys(option: str, config: dict[str, object]) -> tuple[bytes, str]:
    """As bytes, and as text for the API ("" for the default). The engine refuses a wrong text."""
    text = option or str(config.get("detachKeys") or "")
    if not text:
        return DEFAULT_KEYS, text
    from sampan.cli.parse import detach_keys

    try:
        return detach_keys.sequence(text), text
    except ValueError:
        return b"", text


class KeyFilter:
    """Holds back a beginning of the detach keys until the next key tells; see `detached`."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """The bytes that are now known to be ordinary input."""
        out = bytearray()
        for byte in data:
            self._held += bytes((byte,))
            if self._held == self._keys:
                self.detached = True
                return bytes(out)
            while self._held and not self._keys.startswith(self._held):
                out.append(self._held[0])
                self._held = self._held[1:]
        return bytes(out)
