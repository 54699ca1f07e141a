"""Image references: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, as docker and distribution read them.

    parse("busybox")            Reference(domain="docker.io", path="library/busybox", tag="latest")
    full("busybox")             "docker.io/library/busybox:latest"
    familiar("docker.io/library/busybox:latest")    "busybox:latest"

The first part is a host when it has a dot or a colon, is `localhost`, or has an upper-case letter.
Grammar: distribution-spec 1.1, "Pulling manifests"; docker's defaults for what is left out.
"""

from __future__ import annotations

import re

from sampan.kit import errors
from sampan.kit.record import Record

DEFAULT_DOMAIN, DEFAULT_NAMESPACE, DEFAULT_TAG = "docker.io", "library", "latest"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_SIZES = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}


class InvalidReference(errors.InvalidArgument):
    def __init__(self, text: str, why: str = "") -> None:
        super().__init__("invalid reference format" + (f": {why}" if why else ""))
        self.text = text
        if not why:
            self.add_note(f"the name was {text!r}")


class Reference(Record):
    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """`docker.io/library/busybox`"""
        return f"{self.domain}/{self.path}"

    @property
    def identifier(self) -> str:
        """What the manifest is asked for by: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Read a name that a person wrote; without tag and digest it means `:latest`.

    Raises InvalidReference with Docker's sentences.
    """
    rest, _, digest = text.partition("@")
    known = digest.partition(":")[0] in _SIZES and valid_digest(digest)
    if "@" in text and not known:
        raise InvalidReference(text)
    head, slash, last = rest.rpartition("/")
    name, colon, tag = last.partition(":")
    path = f"{head}{slash}{name}"
    if colon and not _TAG.fullmatch(tag):
        raise InvalidReference(text)
    domain, path = _split_domain(path)
    if path.lower() != path:
        official = domain == DEFAULT_DOMAIN and "/" not in path
        full = f"{DEFAULT_NAMESPACE}/{path}" if official else path
        raise InvalidReference(text, f"repository name ({full}) must be lowercase")
    if not _PATH.fullmatch(path) or not is_domain(domain):
        raise InvalidReference(text)
    if re.fullmatch("[0-9a-f]{64}", text):
        raise InvalidReference(text, "cannot specify 64-byte hexadecimal strings")
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"{DEFAULT_NAMESPACE}/{path}"
    if len(path) > 255:
        raise InvalidReference(text, "repository name must not be more than 255 characters")
    return Reference(
        domain=domain, path=path, tag=tag or ("" if digest else DEFAULT_TAG), digest=digest
    )


def is_domain(text: str) -> bool:
    """Whether this can name a registry: HOST or HOST:PORT."""
    port = text.rpartition(":")[2]
    return bool(_DOMAIN.fullmatch(text)) and (not port.isdecimal() or int(port) < 1 << 16)


def _split_domain(path: str) -> tuple[str, str]:
    first, slash, rest = path.partition("/")
    host = slash and (set(first) & {".", ":"} or first == "localhost" or first.lower() != first)
    if not host:
        return DEFAULT_DOMAIN, path
    if first == "index.docker.io":
        first = DEFAULT_DOMAIN
    return first, rest


def valid_digest(text: str) -> bool:
    """The grammar of descriptor.md, and the known algorithms' lengths in lower-case hex."""
    if not _DIGEST.fullmatch(text):
        return False
    algorithm, _, encoded = text.partition(":")
    size = _SIZES.get(algorithm)
    return size is None or (len(encoded) == size and encoded == encoded.lower())


def full(text: str) -> str:
    """`busybox` → `docker.io/library/busybox:latest`."""
    return str(parse(text))


def is_bare(text: str) -> bool:
    """Whether a name has neither tag nor digest."""
    return ":" not in text.rpartition("/")[2] and "@" not in text


def repository(text: str) -> str:
    """`busybox:1` → `docker.io/library/busybox`."""
    return parse(text).repository


def familiar(text: str) -> str:
    """What Docker shows: without `docker.io/`, and without `library/` above a single name."""
    if not text.startswith(f"{DEFAULT_DOMAIN}/"):
        return text
    short = text.removeprefix(f"{DEFAULT_DOMAIN}/")
    official = short.removeprefix(f"{DEFAULT_NAMESPACE}/")
    return short if "/" in official.partition("@")[0] else official
