"""What registries answer, as kinds: status and error document in, one clear sentence out."""

from __future__ import annotations

import json

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ManifestUnknown(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"manifest for {name} not found: manifest unknown: manifest unknown")
        self.name = name


class Denied(errors.Conflict):
    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(
            f"pull access denied for {name}, repository does not exist or may require "
            f"'docker login': denied: {why or 'requested access to the resource is denied'}"
        )


class Unauthorized(errors.InvalidArgument):
    """Credentials are missing or wrong."""


class RegistryUnavailable(errors.Unavailable):
    """No answer, or none that can be used."""


class Refused(errors.InvalidArgument):
    """The registry said no; its own words."""


class CorruptBlob(errors.InvalidArgument):
    def __init__(self, digest: str, why: str) -> None:
        super().__init__(f"blob {digest} from the registry is not what it should be: {why}")
        self.digest = digest


def sentence(body: bytes) -> str:
    """The messages of an error document (distribution-spec "Error Codes"), or its start."""
    try:
        document: Any = json.loads(body)
        told = [
            f"{str(e.get('code', '')).lower().replace('_', ' ')}: {e.get('message', '')}"
            for e in document["errors"]
        ]
        if told:
            return "; ".join(told)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return body[:200].decode(errors="replace").strip()
