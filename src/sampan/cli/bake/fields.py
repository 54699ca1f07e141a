"""The attributes of a target: their forms, and how two of them become one."""

from __future__ import annotations

from sampan.cli.bake import hcl
from sampan.cli.parse import csv
from sampan.kit import errors, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# In the order in which they are printed.
ORDER = (
    "description", "annotations", "attest", "context", "contexts", "dockerfile",
    "dockerfile-inline", "args", "labels", "tags", "cache-from", "cache-to", "target", "secret",
    "ssh", "platforms", "output", "pull", "no-cache", "network", "no-cache-filter", "shm-size",
    "ulimits", "call", "entitlements", "extra-hosts",
)  # fmt: skip
MAPS = ("contexts", "args", "labels", "extra-hosts")
LISTS = ("annotations", "tags", "platforms", "no-cache-filter", "ulimits", "entitlements")
BOOLS = ("pull", "no-cache")
# What a lone word of a list means: type=registry,ref=WORD
RECORDS = {"attest": ("type",), "cache-from": ("ref", "registry"), "cache-to": ("ref", "registry"),
           "secret": ("id",), "ssh": ("id",), "output": ("dest", "local")}  # fmt: skip
_APPENDED = ("annotations", "attest", "cache-from", "secret", "ssh", "entitlements")
_ALIASES = {"outputs": "output", "platform": "platforms", "secrets": "secret"}


def canonical(name: str) -> str:
    """The attribute's own name. Raises InvalidArgument for an unknown one."""
    name = _ALIASES.get(name, name)
    if name not in ORDER:
        guess = nearest.one(name, ORDER)
        hint = f" (did you mean {guess}?)" if guess else ""
        raise errors.InvalidArgument(f'there is no attribute "{name}"{hint}')
    return name


def shaped(name: str, value: Any) -> Any:
    """The value as it is printed. Raises InvalidArgument for one of another kind."""
    if value is None:
        return None
    try:
        if name in MAPS:
            return {key: hcl.text_of(v) for key, v in value.items() if v is not None}
        if name in LISTS:
            return [hcl.text_of(one) for one in _list(value) if one not in (None, "")]
        if name in RECORDS:
            return [_record(name, one) for one in _list(value) if one not in (None, "")]
        if name in BOOLS:
            return _bool(value)
        return hcl.text_of(value)
    except (AttributeError, TypeError, ValueError) as error:
        raise errors.InvalidArgument(f"{name}: {error}") from None
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"{name}: {error}") from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise errors.InvalidArgument(f"a list is wanted, not {value!r}")
    return value


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false", "1", "0"):
        raise errors.InvalidArgument(f"true or false is wanted, not {value!r}")
    return str(value).lower() in ("true", "1")


def _record(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v if isinstance(v, list) else hcl.text_of(v) for k, v in sorted(value.items())}
    text = hcl.text_of(value)
    if name == "ssh":
        ident, _, paths = text.partition("=")
        return {"id": ident} | ({"paths": paths.split(",")} if paths else {})
    if "=" not in text:
        if name == "output" and text == "-":
            return {"dest": "-", "type": "tar"}
        key, *kind = RECORDS[name]
        return {key: text} | ({"type": kind[0]} if kind else {})
    return dict(sorted(csv.pairs(text)))


def line(name: str, record: dict[str, Any]) -> str:
    """A record as an option of `sampan build` takes it."""
    if name == "ssh":
        paths = record.get("paths")
        return str(record["id"]) + (f"={','.join(paths)}" if paths else "")
    quoted = (f"{key}={value}" for key, value in record.items())
    return ",".join(f'"{part}"' if "," in part else part for part in quoted)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    made = dict(old)
    for name, value in new.items():
        if value is None:
            continue
        if name in MAPS:
            made[name] = {**made.get(name, {}), **value}
        elif name in _APPENDED:
            before = made.get(name, [])
            made[name] = [*before, *(one for one in value if one not in before)]
        else:
            made[name] = value
    return made


def ordered(target: dict[str, Any]) -> dict[str, Any]:
    """For printing: empty ones left out, keys of objects sorted."""
    kept = ((name, target.get(name)) for name in ORDER)
    return {
        name: dict(sorted(value.items())) if isinstance(value, dict) else value
        for name, value in kept
        if value not in (None, [], {})
    }
