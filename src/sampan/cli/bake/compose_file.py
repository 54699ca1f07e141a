"""A compose file as a bake file: each service that is built is a target."""

from __future__ import annotations

import re

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SAME = ("context", "dockerfile", "network", "target")
_RENAMED = {"dockerfile_inline": "dockerfile-inline", "cache_from": "cache-from",
            "cache_to": "cache-to", "no_cache": "no-cache", "shm_size": "shm-size",
            "platforms": "platforms", "pull": "pull", "tags": "tags"}  # fmt: skip
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)(?:(:?[-?+])([^}]*))?\})")


def targets(text: str, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """name → its attributes, in the order of the file."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise errors.InvalidArgument(" ".join(str(error).split())) from None
    except RecursionError:
        raise errors.InvalidArgument("it is nested too deeply") from None
    services = found.get("services") if isinstance(found, dict) else None
    if not isinstance(services, dict):
        raise errors.InvalidArgument("services: an object is wanted")
    known = _interpolated(found, environ)
    made = {}
    for name, service in known["services"].items():
        if isinstance(service, dict) and service.get("build") is not None:
            secrets = known.get("secrets") or {}
            try:
                made[name.replace(".", "_")] = _target(service, secrets, environ)
            except (AttributeError, TypeError, ValueError, KeyError):
                where = f"services.{name}.build"
                raise errors.InvalidArgument(f"{where}: a field is of the wrong kind") from None
    return made


def _target(
    service: dict[str, Any], secrets: dict[str, Any], environ: Mapping[str, str]
) -> dict[str, Any]:
    build = service["build"]
    build = build if isinstance(build, dict) else {"context": build}
    made = {key: build[key] for key in _SAME if build.get(key)}
    made |= {new: build[old] for old, new in _RENAMED.items() if build.get(old)}
    if build.get("args"):
        pairs = _pairs(build["args"])
        made["args"] = {k: environ.get(k) if v is None else v for k, v in pairs.items()}
        made["args"] = {k: v for k, v in made["args"].items() if v is not None}
    if build.get("labels"):
        made["labels"] = {k: v or "" for k, v in _pairs(build["labels"]).items()}
    if build.get("additional_contexts"):
        pairs = _pairs(build["additional_contexts"])
        made["contexts"] = {k: _context(v or "") for k, v in pairs.items()}
    if build.get("extra_hosts"):
        made["extra-hosts"] = _hosts(build["extra_hosts"])
    if build.get("ssh"):
        made["ssh"] = [*build["ssh"]] if isinstance(build["ssh"], list) else [build["ssh"]]
    if build.get("secrets"):
        made["secret"] = [_secret(one, secrets) for one in build["secrets"]]
    if service.get("image") and "tags" not in made:
        made["tags"] = [service["image"]]
    return made | (build.get("x-bake") or {})


def _context(value: str) -> str:
    service = value.removeprefix("service:")
    return value if service == value else f"target:{service.replace('.', '_')}"


def _pairs(value: Any) -> dict[str, str | None]:
    """An object, or a list of NAME=VALUE."""
    if isinstance(value, list):
        parts = [str(one).partition("=") for one in value]
        return {name: text if equals else None for name, equals, text in parts}
    return {str(name): None if one is None else _plain(one) for name, one in value.items()}


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hosts(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {name: str(one) for name, one in value.items()}
    return dict(re.split("[=:]", one, maxsplit=1) for one in value)


def _secret(one: Any, known: dict[str, Any]) -> dict[str, str]:
    name = one if isinstance(one, str) else one["source"]
    place = known.get(name)
    if not isinstance(place, dict):
        raise errors.InvalidArgument(f'there is no secret "{name}"')
    if "environment" in place:
        return {"id": name, "env": place["environment"]}
    return {"id": name, "src": place.get("file", name)}


def _interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [_interpolated(one, environ) for one in value]
    if not isinstance(value, str):
        return value
    return _VARIABLE.sub(lambda match: _variable(match, environ), value)


def _variable(match: re.Match[str], environ: Mapping[str, str]) -> str:
    dollar, bare, name, sign, other = match.groups()
    if dollar:
        return "$"
    value = environ.get(bare or name)
    there = value is not None and not (sign and sign.startswith(":") and not value)
    if sign and sign.endswith("+"):
        return str(other) if there else ""
    if not there and sign and sign.endswith("?"):
        raise errors.InvalidArgument(f"{name}: {other or 'it is not set'}")
    return str(value if there else other or "")
