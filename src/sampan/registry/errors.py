"""What a registry, or the way to it, can refuse: each with the facts as attributes.

Sentences name the reference or the host, and the way out where there is one. The kinds are
`kit.errors`': what is unknown there is NotFound, what can be tried again later is Unavailable.
"""

from __future__ import annotations

from sampan.kit import errors


class ManifestUnknown(errors.NotFound):
    def __init__(self, reference: str) -> None:
        super().__init__(f"manifest for {reference} not found: manifest unknown")
        self.reference = reference


class BlobUnknown(errors.NotFound):
    def __init__(self, repository: str, digest: str) -> None:
        super().__init__(f"blob {digest} not found in {repository}")
        self.repository, self.digest = repository, digest


class RepositoryUnknown(errors.NotFound):
    def __init__(self, repository: str) -> None:
        super().__init__(f"repository {repository} not found")
        self.repository = repository


class AccessDenied(errors.NotFound):
    """Registries do not tell whether a repository is private or does not exist."""

    def __init__(self, action: str, repository: str, why: str) -> None:
        super().__init__(
            f"{action} access denied for {repository}, repository does not exist or may "
            f"require 'login': {why}"
        )
        self.action, self.repository, self.why = action, repository, why


class Unauthorized(errors.InvalidArgument):
    """The credentials were refused."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host}: unauthorized: {why}")
        self.host, self.why = host, why


class WrongDigest(errors.InvalidArgument):
    def __init__(self, host: str, expected: str, actual: str) -> None:
        super().__init__(
            f"wrong digest from {host}: {expected} was asked for, but the bytes that came are "
            f"{actual}; nothing of them was kept"
        )
        self.host, self.expected, self.actual = host, expected, actual


class WrongSize(errors.InvalidArgument):
    def __init__(self, host: str, digest: str, expected: int, actual: int) -> None:
        super().__init__(
            f"wrong size from {host}: {digest} should have {expected} bytes, {actual} came"
        )
        self.host, self.digest, self.expected, self.actual = host, digest, expected, actual


class Refused(errors.InvalidArgument):
    """Any other answer in the 400s, in the registry's own words (distribution-spec, errors)."""

    def __init__(self, host: str, status: int, why: str) -> None:
        super().__init__(f"{host} refused the request: {why}")
        self.host, self.status = host, status


class TooManyRequests(errors.Unavailable):
    def __init__(self, host: str, why: str, retry_after: float | None) -> None:
        later = f"; try again in {retry_after:.0f} s" if retry_after else ""
        super().__init__(f"{host}: too many requests: {why}{later}")
        self.host, self.retry_after = host, retry_after


class ServerFailed(errors.Unavailable):
    def __init__(self, host: str, status: int, why: str, retry_after: float | None = None) -> None:
        super().__init__(f"{host} failed with HTTP {status}: {why}")
        self.host, self.status, self.retry_after = host, status, retry_after


class OutOfStep(errors.Unavailable):
    """An upload does not stand where the request goes on: it has more bytes by now, or is gone."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host}: the upload does not go on from here: {why}")
        self.host, self.why = host, why


class Unreachable(errors.Unavailable):
    """Nobody answers there: refused, no such host, no route, too slow, cut off."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"cannot reach the registry {host}: {why}")
        self.host, self.why = host, why


class SpeaksPlainHttp(Unreachable):
    def __init__(self, host: str, directory: str) -> None:
        super().__init__(
            host,
            "it answers plain http where https is asked for; to allow that, write "
            f"'server = \"http://{host}\"' into {directory}/hosts.toml",
        )


class NotTrusted(Unreachable):
    def __init__(self, host: str, why: str, directory: str) -> None:
        super().__init__(
            host,
            f"its certificate is not trusted ({why}); name its authority as 'ca', or set "
            f"'skip_verify = true', in {directory}/hosts.toml",
        )


class TlsFailed(Unreachable):
    pass


class SchemaOne(errors.Unsupported):
    def __init__(self, reference: str) -> None:
        super().__init__(
            f"{reference} is an image of Docker's old schema 1, which is not supported: "
            "pull and push it once with a tool that converts it (skopeo copy)"
        )


class NotAnImage(errors.Unsupported):
    def __init__(self, reference: str, media_type: str) -> None:
        super().__init__(f"{reference} is no container image: its config is {media_type}")
        self.media_type = media_type


class BadDocument(errors.InvalidArgument):
    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
