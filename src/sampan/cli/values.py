"""What an option's value may be: parsers from text to value, one a kind.

A parser raises ValueError with the reason alone; `options` puts option and text in front of it.
Kinds whose rules fill a page (`publish`, `mount`, …) have a module in `sampan.cli.parse`, which is
imported when such an option is used.
"""

from __future__ import annotations

from sampan.cli import units
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Kind(Record):
    parse: Callable[[str], Any]
    metavar: str = "string"
    empty: Any = ""
    flag_value: str | None = None  # the value of the bare flag; None: it needs one
    collect: Callable[[Any, Any], Any] | None = None
    told_plainly: bool = False  # what is wrong with a value is told as of the whole command


def boolean(text: str) -> bool:
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError("it is neither true nor false")


def integer(text: str) -> int:
    try:
        return int(text, 0) if text.lower().startswith(("0x", "-0x")) else int(text)
    except ValueError:
        raise ValueError("it is no whole number") from None


def decimal_cpus(text: str) -> int:
    """A number of CPUs as billionths of one."""
    sign = -1 if text.startswith("-") else 1  # the engine refuses it
    whole, dot, fraction = text.removeprefix("-").partition(".")
    if not (whole.isdecimal() or (dot and not whole)) or not (fraction.isdecimal() or not fraction):
        raise ValueError(f"{text!r} is no number of CPUs")
    if not whole and not fraction:
        raise ValueError(f"{text!r} is no number of CPUs")
    if len(fraction) > 9:
        raise ValueError("it is too precise (nine decimals at most)")
    return sign * (int(whole or "0") * 10**9 + int(fraction.ljust(9, "0") or "0"))


def size(text: str) -> int:
    return units.parse_bytes(text)


def swap_size(text: str) -> int:
    return -1 if text == "-1" else units.parse_bytes(text)


def duration(text: str) -> int:
    """A Go duration (`1m30s`) in nanoseconds."""
    return units.parse_duration(text)


def weight(text: str) -> int:
    value = integer(text)
    if not 0 <= value < 65536:
        raise ValueError("value out of range")
    return value


def key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError("it must be KEY=VALUE")
    return key, value


def filter_term(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return key.strip().lower(), value.strip()


def environment(text: str) -> str:
    if not text or text.startswith("="):
        raise ValueError(f"invalid environment variable: {text}")
    return text


def label(text: str) -> str:
    if text.startswith("="):
        raise ValueError(f"invalid label: {text!r} has no name")
    return text


def ip_address(text: str) -> str:
    from sampan.cli.parse import ip

    return ip.check(text)


def _page(module: str) -> Callable[[str], Any]:
    """A parser that is its module's `parse`, imported at the first use."""

    def parse(text: str) -> Any:
        return __import__(f"sampan.cli.parse.{module}", fromlist=["parse"]).parse(text)

    return parse


def _append(old: list[Any] | None, value: Any) -> list[Any]:
    return [*(old or []), value]


def _extend(old: list[Any] | None, value: list[Any]) -> list[Any]:
    return [*(old or []), *value]


def _merge(old: dict[str, str] | None, pair: tuple[str, str]) -> dict[str, str]:
    return {**(old or {}), pair[0]: pair[1]}


def _filters(old: dict[str, list[str]] | None, term: tuple[str, str]) -> dict[str, list[str]]:
    merged = dict(old or {})
    merged[term[0]] = [*merged.get(term[0], []), term[1]]
    return merged


def sysctl(text: str) -> tuple[str, str]:
    """A parameter of a namespace that a container has of its own (Docker's list)."""
    key, equals, value = text.partition("=")
    if not equals or not (key in _SYSCTLS or key.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return key, value


_SYSCTLS = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
    "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
)  # fmt: skip


def device_rule(text: str) -> str:
    """`c 1:3 rwm`, a line of the devices cgroup."""
    kind, _, rest = text.partition(" ")
    numbers, _, permissions = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    if (
        kind not in ("a", "c", "b")
        or not colon
        or any(not (number.isdecimal() or number == "*") for number in (major, minor))
        or not 1 <= len(permissions) <= 3
        or not set(permissions) <= set("rwm")
    ):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def _list(parse: Callable[[str], Any], metavar: str = "list") -> Kind:
    return Kind(parse=parse, metavar=metavar, empty=[], collect=_append)


KINDS: dict[str, Kind] = {
    "bool": Kind(parse=boolean, metavar="", empty=False, flag_value="true"),
    "string": Kind(parse=str),
    "int": Kind(parse=integer, metavar="int", empty=0),
    "weight": Kind(parse=weight, metavar="uint16", empty=0),
    "bytes": Kind(parse=size, metavar="bytes", empty=0),
    "swap": Kind(parse=swap_size, metavar="bytes", empty=0),
    "cpus": Kind(parse=decimal_cpus, metavar="decimal", empty=0),
    "duration": Kind(parse=duration, metavar="duration", empty=0),
    "list": _list(str),
    "commas": Kind(parse=lambda t: t.split(","), metavar="strings", empty=[], collect=_extend),
    "map": Kind(parse=key_value, metavar="map", empty={}, collect=_merge),
    "sysctl": Kind(parse=sysctl, metavar="map", empty={}, collect=_merge),
    "filter": Kind(parse=filter_term, metavar="filter", empty={}, collect=_filters),
    "env": _list(environment),
    "label": _list(label),
    "ip": _list(ip_address),
    "publish": _list(_page("ports")).replace(told_plainly=True),
    "expose": _list(_page("expose")).replace(told_plainly=True),
    "volume": _list(_page("volumes")),
    "mount": _list(_page("mounts"), "mount"),
    "device": _list(_page("devices")).replace(told_plainly=True),
    "device-rule": _list(device_rule),
    "stream": _list(stream),
    "ulimit": _list(_page("ulimits"), "ulimit"),
    "throttle": _list(_page("throttle")),
    "host": _list(_page("hosts")),
    "network": _list(_page("networks"), "network"),
    "restart": Kind(parse=_page("restart"), told_plainly=True),
    "gpus": _list(_page("gpus"), "gpu-request"),
}
