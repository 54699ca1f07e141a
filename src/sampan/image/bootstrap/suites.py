"""Distributions, their suites, and where their packages come from.

What stands inside an image is always the distribution's public address; what packages are fetched
from is the host's own mirror where it has one for the suite (sources.list(5)).
"""

from __future__ import annotations

import glob
from typing import TYPE_CHECKING

from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEBIAN = {
    "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "": "stable",
    "latest": "stable", "oldstable": "bookworm", "stable": "trixie", "unstable": "sid",
}  # fmt: skip
_UBUNTU = {"20.04": "focal", "22.04": "jammy", "24.04": "noble", "": "noble", "latest": "noble"}
_ROLLING = ("sid", "unstable", "experimental")


class Source(Record):
    """One suite of an archive: `deb URI suite components`."""

    uri: str
    suite: str
    components: str
    required: bool = True

    def line(self, keyring: str = "") -> str:
        option = f"[signed-by={keyring}] " if keyring else ""
        return f"deb {option}{self.uri} {self.suite} {self.components}"


class Suite(Record):
    distribution: str
    name: str  # "bookworm"
    components: str
    keyring: str
    sources: tuple[Source, ...]  # the public ones

    def file(self) -> tuple[str, bytes]:
        """The image's own list of sources (deb822, sources.list(5)): path and contents."""
        stanzas: dict[str, list[str]] = {}
        for source in self.sources:
            stanzas.setdefault(source.uri, []).append(source.suite)
        text = "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\n"
            f"Components: {self.components}\nSigned-By: {self.keyring}\n"
            for uri, suites in stanzas.items()
        )
        return f"etc/apt/sources.list.d/{self.distribution}.sources", text.encode()


def suite(source: str) -> Suite:
    """`debian:12`, `debian:bookworm`, `debian`, `ubuntu:24.04`. Raises InvalidArgument."""
    distribution, _, wanted = source.partition(":")
    wanted = wanted.removesuffix("-slim")
    numbers = _UBUNTU if distribution == "ubuntu" else _DEBIAN
    name = numbers.get(numbers.get(wanted, wanted), numbers.get(wanted, wanted))
    if not name.isalnum() or not name.islower() or name.isdecimal():
        known = ", ".join(sorted(f"{key} ({value})" for key, value in numbers.items()
                                 if key[:1].isdecimal()))  # fmt: skip
        raise errors.InvalidArgument(f"{source!r}: no such suite is known; there are {known}")
    return _ubuntu(name) if distribution == "ubuntu" else _debian(name)


def _debian(name: str) -> Suite:
    main, extra = "http://deb.debian.org/debian", []
    if name not in _ROLLING:
        extra = [
            Source(uri=main, suite=f"{name}-updates", components="main", required=False),
            Source(
                uri=f"{main}-security", suite=f"{name}-security", components="main", required=False
            ),
        ]
    return Suite(
        distribution="debian",
        name=name,
        components="main",
        keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
        sources=(Source(uri=main, suite=name, components="main"), *extra),
    )


def _ubuntu(name: str) -> Suite:
    main, components = "http://archive.ubuntu.com/ubuntu", "main universe"
    security = "http://security.ubuntu.com/ubuntu"
    return Suite(
        distribution="ubuntu",
        name=name,
        components=components,
        keyring="/usr/share/keyrings/ubuntu-archive-keyring.gpg",
        sources=(
            Source(uri=main, suite=name, components=components),
            Source(uri=main, suite=f"{name}-updates", components=components, required=False),
            Source(uri=security, suite=f"{name}-security", components=components, required=False),
        ),
    )


def fetched_from(suite: Suite, mirror: str = "", directory: str = "/etc/apt") -> list[Source]:
    """The suite's sources at `mirror`, else at the host's, else at the public addresses."""
    known = {} if mirror else dict(host_suites(directory))
    found = []
    for source in suite.sources:
        uri = known.get(source.suite, source.uri)
        if mirror and source.uri == suite.sources[0].uri:
            uri = mirror.rstrip("/")
        found.append(source.replace(uri=uri))
    return found


def host_suites(directory: str = "/etc/apt") -> Iterator[tuple[str, str]]:
    """(suite, URI) of the host's own http(s) sources."""
    for path in [f"{directory}/sources.list", *sorted(glob.glob(f"{directory}/sources.list.d/*"))]:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if path.endswith(".list"):
            yield from _one_line(text)
        elif path.endswith(".sources"):
            yield from _deb822(text)


def _one_line(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        if rest and rest[0].startswith("["):
            end = next((n for n, word in enumerate(rest) if word.endswith("]")), len(rest))
            rest = rest[end + 1 :]
        if len(rest) >= 2 and rest[0].startswith(("http://", "https://")):
            yield rest[1], rest[0].rstrip("/")


def _deb822(text: str) -> Iterator[tuple[str, str]]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in plain.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in " \t":
                fields[name] = fields.get(name, "") + " " + line.strip()
                continue
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        uri = next(iter(fields.get("uris", "").split()), "")
        if uri.startswith(("http://", "https://")):
            yield from ((suite, uri.rstrip("/")) for suite in fields.get("suites", "").split())
