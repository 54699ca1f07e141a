"""The frontend `dockerfile.v0`: what its attributes ask for.

Source: moby/buildkit frontend/dockerui/config.go, context.go; docs of `docker buildx build`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.build.cache_options import parse_import
from sampan.engine import builds
from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.build.cache_options import Import

_NUMBERS = {
    "shm-size": "ShmSize",
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
}
_TEXTS = {
    "cgroup-parent": "CgroupParent",
    "cpusetcpus": "CpusetCpus",
    "cpusetmems": "CpusetMems",
}
_ARG, _LABEL, _CONTEXT = "build-arg:", "label:", "context:"
UPLOAD = "http://buildkit-session/"  # a context that the client holds ready as a stream


class Local(Record):
    """A directory of the client, by the session's name for it."""

    name: str


class Asked(Record):
    options: builds.Options
    context: str  # the session's name for the directory, or where a context is
    dockerfile: str  # the session's name for the Dockerfile's directory
    remote: bool  # `context` is no directory of the session
    contexts: Mapping[str, str | Local]  # an image's name, or a directory

    @property
    def filename(self) -> str:
        return self.options.dockerfile


def asked(frontend: str, attributes: Mapping[str, str]) -> Asked:
    """Raises InvalidArgument, Unsupported."""
    _refuse(frontend, attributes)
    context = attributes.get(attributes.get("contextkey", "context"), "")
    return Asked(
        options=builds.Options(
            dockerfile=attributes.get("filename") or "Dockerfile",
            target=attributes.get("target", ""),
            args=_after(_ARG, attributes),
            labels=_after(_LABEL, attributes),
            no_cache=attributes.get("no-cache") == "",
            no_cache_stages=tuple(filter(None, attributes.get("no-cache", "").split(","))),
            pull=attributes.get("image-resolve-mode") == "pull",
            platform=attributes.get("platform", ""),
            network=_network(attributes.get("force-network-mode", "")),
            host_config=_host_config(attributes),
            imports=imports(attributes.get("cache-imports", "")),
        ),
        context=context if "://" in context else attributes.get("contextkey", "context"),
        dockerfile=attributes.get("dockerfilekey", "dockerfile"),
        remote="://" in context,
        contexts={
            name: _named(name, value) for name, value in _after(_CONTEXT, attributes).items()
        },
    )


def imports(text: str) -> tuple[Import, ...]:
    """`cache-imports`: a JSON list of {"Type", "Attrs"}."""
    try:
        listed = json.loads(text) if text else []
        return tuple(parse_import(one["Type"], one["Attrs"]) for one in listed)
    except (ValueError, TypeError, KeyError) as error:
        raise errors.InvalidArgument(f"cache-imports is no list of caches: {error}") from None


def _named(name: str, value: str) -> str | Local:
    kind, separator, rest = value.partition(":")
    if kind == "docker-image" and rest.startswith("//"):
        return rest.removeprefix("//")
    if kind == "local" and separator:
        return Local(name=rest)
    raise errors.Unsupported(f"the named context {name}={value} is not supported yet")


def _refuse(frontend: str, attributes: Mapping[str, str]) -> None:
    source = attributes.get("source", "")
    known = frontend == "dockerfile.v0" or (
        frontend == "gateway.v0" and "docker/dockerfile" in source
    )
    if not known:
        raise errors.Unsupported(f"the frontend {source or frontend} is not known here")


def _after(prefix: str, attributes: Mapping[str, str]) -> dict[str, str]:
    return {k.removeprefix(prefix): v for k, v in attributes.items() if k.startswith(prefix)}


def _network(mode: str) -> str:
    if mode not in ("", "default", "host", "none", "sandbox"):
        raise errors.InvalidArgument(f"invalid network mode {mode!r}")
    return "" if mode in ("default", "sandbox") else mode


def _host_config(attributes: Mapping[str, str]) -> dict[str, Any]:
    host: dict[str, Any] = {}
    for name, key in _NUMBERS.items():
        if text := attributes.get(name):
            host[key] = _number(name, text)
    host |= {key: attributes[name] for name, key in _TEXTS.items() if attributes.get(name)}
    if hosts := attributes.get("add-hosts"):
        host["ExtraHosts"] = _each("add-hosts", hosts, _extra_host)
    if ulimits := attributes.get("ulimit"):
        host["Ulimits"] = _each("ulimit", ulimits, _ulimit)
    return host


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise errors.InvalidArgument(f"invalid value for {name}: {text!r}") from None


def _each(name: str, text: str, one: Callable[[str, str], Any]) -> list[Any]:
    found = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise errors.InvalidArgument(f"invalid {name}: {part!r}")
        found.append(one(key, value))
    return found


def _extra_host(name: str, address: str) -> str:
    return f"{name}:{address}"


def _ulimit(name: str, value: str) -> dict[str, Any]:
    soft, _, hard = value.partition(":")
    return {
        "Name": name,
        "Soft": _number("ulimit", soft),
        "Hard": _number("ulimit", hard or soft),
    }
