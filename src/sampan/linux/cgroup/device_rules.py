"""Device rules as a set, the way the kernel's devices controller keeps them.

A state is a default and exceptions from it: `(type, major, minor) → access`, where major and
minor are numbers or "*" and access is made of r, w, m. OCI rules are applied in their order; what
would need an exception from an exception (a hole in a wildcard) is refused.
"""

from __future__ import annotations

from sampan.linux.cgroup.errors import ControllerMissing, InvalidLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Key = tuple[str, str, str]

_ORDER = "rwm"


class State:
    def __init__(self, default_allow: bool = True) -> None:
        self.default_allow = default_allow
        self.exceptions: dict[Key, str] = {}

    def apply(self, rule: dict[str, Any]) -> None:
        """One rule of `linux.resources.devices`; type "a" (or none) resets everything."""
        allow, kind = bool(rule.get("allow")), rule.get("type") or "a"
        if kind == "a":
            self.default_allow = allow
            self.exceptions.clear()
            return
        if kind not in ("b", "c", "u"):
            raise InvalidLimit(f"device rule {describe(rule)}: type must be a, b, c or u")
        key = ("c" if kind == "u" else kind, _number(rule, "major"), _number(rule, "minor"))
        access = rule.get("access") or "rwm"
        if "a" in access:  # no letter of the specification, but runc takes it: never allow by it
            access = access.replace("a", "") if rule.get("allow") else "rwm"
        if not access or set(access) - set(_ORDER):
            raise InvalidLimit(f"device rule {describe(rule)}: access must be made of r, w and m")
        if allow != self.default_allow:
            self.exceptions[key] = _join(self.exceptions.get(key, "") + access)
        else:
            self._take_back(key, access, rule)

    def _take_back(self, key: Key, access: str, rule: dict[str, Any]) -> None:
        left = {c for c in self.exceptions.get(key, "") if c not in access}
        for other, others in self.exceptions.items():
            if _overlap(other, key) and not _covers(key, other) and set(others) & set(access):
                raise ControllerMissing(
                    "devices",
                    f"device rule {describe(rule)} would make a hole in the rule for "
                    f"{other[0]} {other[1]}:{other[2]}, which cgroups cannot hold",
                )
        for other in [o for o in self.exceptions if o != key and _covers(key, o)]:
            self._keep(other, {c for c in self.exceptions[other] if c not in access})
        if key in self.exceptions:
            self._keep(key, left)

    def _keep(self, key: Key, access: set[str]) -> None:
        if access:
            self.exceptions[key] = _join(access)
        else:
            del self.exceptions[key]


def emulate(rules: Iterable[dict[str, Any]]) -> State:
    """What the rules come to; before the first rule everything is allowed."""
    state = State()
    for rule in rules:
        state.apply(rule)
    return state


def parse(devices_list: str) -> State:
    """v1's devices.list: `a *:* rwm` while everything is allowed, else the allowed exceptions.

    A default-allow state hides its exceptions there, so it is told apart only by that first line.
    """
    if devices_list.startswith("a "):
        return State(True)
    state = State(False)
    for line in devices_list.splitlines():
        kind, number, access = line.split()
        major, minor = number.split(":")
        state.exceptions[(kind, major, minor)] = _join(access)
    return state


def describe(rule: dict[str, Any]) -> str:
    numbers = f"{_number(rule, 'major')}:{_number(rule, 'minor')}"
    verb = "allow" if rule.get("allow") else "deny"
    return f"{verb} {rule.get('type') or 'a'} {numbers} {rule.get('access') or 'rwm'}"


def _number(rule: dict[str, Any], key: str) -> str:
    value = rule.get(key)
    return "*" if value is None or value < 0 else str(value)


def _join(access: Iterable[str]) -> str:
    access = set(access)
    return "".join(c for c in _ORDER if c in access)


def _overlap(a: Key, b: Key) -> bool:
    return a[0] == b[0] and all("*" in (x, y) or x == y for x, y in zip(a[1:], b[1:], strict=True))


def _covers(a: Key, b: Key) -> bool:
    return a[0] == b[0] and all(x in ("*", y) for x, y in zip(a[1:], b[1:], strict=True))
