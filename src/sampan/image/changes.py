"""The Dockerfile instructions that `commit --change` and `import --change` take."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class BadChange(errors.InvalidArgument):
    def __init__(self, line: str, why: str) -> None:
        super().__init__(f"--change {line!r}: {why}")


def apply(config: dict[str, Any], lines: Iterable[str]) -> None:
    """Change the `config` part of an image config in place; a text may be several lines, as of a
    Dockerfile. Raises BadChange."""
    text = "\n".join(lines).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.strip().partition(" ")
        setter = _SETTERS.get(word.upper())
        if setter is None:
            raise errors.InvalidArgument(f"{word.lower()} is not a valid change command")
        if not rest.strip():
            raise BadChange(line, f"{word} requires at least one argument")
        try:
            setter(config, rest.strip())
        except ValueError as error:
            raise BadChange(line, str(error)) from None


def _command(rest: str) -> list[str]:
    """Exec form (JSON) or shell form."""
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", rest]


def _pairs(rest: str) -> list[tuple[str, str]]:
    words = shlex.split(rest)
    if "=" not in words[0]:
        name, _, value = rest.partition(" ")
        return [(name, value.strip())]
    pairs = [word.partition("=") for word in words]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError("every word must be key=value")
    return [(name, value) for name, _, value in pairs]


def _cmd(config: dict[str, Any], rest: str) -> None:
    config["Cmd"] = _command(rest)


def _entrypoint(config: dict[str, Any], rest: str) -> None:
    config["Entrypoint"] = _command(rest)


def _env(config: dict[str, Any], rest: str) -> None:
    for name, value in _pairs(rest):
        kept = [e for e in config.get("Env") or [] if e.partition("=")[0] != name]
        config["Env"] = [*kept, f"{name}={value}"]


def _label(config: dict[str, Any], rest: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(rest))}


def _expose(config: dict[str, Any], rest: str) -> None:
    ports: dict[str, Any] = {p if "/" in p else f"{p}/tcp": {} for p in rest.split()}
    config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **ports}


def _volume(config: dict[str, Any], rest: str) -> None:
    places = json.loads(rest) if rest.startswith("[") else rest.split()
    config["Volumes"] = {**(config.get("Volumes") or {}), **{place: {} for place in places}}


def _onbuild(config: dict[str, Any], rest: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or []), rest]


def _plain(key: str) -> Callable[[dict[str, Any], str], None]:
    def setter(config: dict[str, Any], rest: str) -> None:
        config[key] = rest

    return setter


_SETTERS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _plain("StopSignal"),
    "USER": _plain("User"),
    "VOLUME": _volume,
    "WORKDIR": _plain("WorkingDir"),
}
