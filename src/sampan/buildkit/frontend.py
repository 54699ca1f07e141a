"""The frontend `dockerfile.v0`: what its attributes ask for.

Source: moby/buildkit frontend/dockerui/config.go, context.go; docs of `docker buildx build`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.build import remote
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
_DOCKERFILE = "dockerfile.v0"
LAYOUT = "oci-layout://"  # before a session's name of a layout, `@` and a digest
UPLOAD = "http://buildkit-session/"  # a context that the client holds ready as a stream


class Local(Record):
    """A directory of the client, by the session's name for it."""

    name: str


class Remote(Record):
    """A git or http address."""

    address: str


class Asked(Record):
    options: builds.Options
    context: str  # the session's name for the directory, or where a context is
    dockerfile: str  # the session's name for the Dockerfile's directory
    remote: bool  # `context` is no directory of the session
    apart: bool  # the Dockerfile is the session's, wherever the context is
    inside: str  # the directory of a remote context that is meant
    contexts: Mapping[str, str | Local | Remote]  # an image's name, or files

    @property
    def filename(self) -> str:
        return self.options.dockerfile


def asked(frontend: str, attributes: Mapping[str, str]) -> Asked:
    """Raises InvalidArgument, Unsupported."""
    _refuse(frontend, attributes)
    context = attributes.get(attributes.get("contextkey", "context"), "")
    args = _after(_ARG, attributes)
    return Asked(
        options=builds.Options(
            dockerfile=attributes.get("filename") or "Dockerfile",
            target=attributes.get("target", ""),
            args=args,
            labels=_after(_LABEL, attributes),
            no_cache=attributes.get("no-cache") == "",
            no_cache_stages=tuple(filter(None, attributes.get("no-cache", "").split(","))),
            pull=attributes.get("image-resolve-mode") == "pull",
            platform=attributes.get("platform", ""),
            network=_network(attributes.get("force-network-mode", "")),
            hostname=attributes.get("hostname") or builds.Options().hostname,
            host_config=_host_config(attributes),
            imports=imports(attributes.get("cache-imports", "")) or _old_imports(attributes),
        ),
        context=context if "://" in context else attributes.get("contextkey", "context"),
        dockerfile=attributes.get("dockerfilekey", "dockerfile"),
        remote="://" in context,
        apart="dockerfilekey" in attributes,
        inside=attributes.get("contextsubdir", ""),
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


def _old_imports(attributes: Mapping[str, str]) -> tuple[Import, ...]:
    """`cache-from`: names of images, as clients before `cache-imports` have it."""
    names = filter(None, attributes.get("cache-from", "").split(","))
    return tuple(parse_import("registry", {"ref": name}) for name in names)


def _named(name: str, value: str) -> str | Local | Remote:
    kind, separator, rest = value.partition(":")
    if not separator:
        raise errors.InvalidArgument(f"invalid context specifier {value} for {name}")
    if kind == "docker-image":
        return rest.removeprefix("//")
    if kind == "oci-layout":
        return LAYOUT + rest.removeprefix("//")
    if kind == "local":
        return Local(name=rest)
    if kind in ("http", "https") or remote.is_git(value):
        return Remote(address=value)
    raise errors.InvalidArgument(f"unsupported context source {kind} for {name}")


def _refuse(frontend: str, attributes: Mapping[str, str]) -> None:
    source = attributes.get("source", "")
    known = frontend == _DOCKERFILE or (
        frontend == "gateway.v0" and (source == _DOCKERFILE or "docker/dockerfile" in source)
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
