"""Docker's `filters` parameter: names, each with any of several values.

It comes as `{"status": ["exited"]}` from docker-py and as `{"status": {"exited": true}}` from Go.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Filters:
    def __init__(self, values: Mapping[str, Iterable[str]] | None = None) -> None:
        self._values = {name: list(items) for name, items in (values or {}).items()}

    @classmethod
    def parse(cls, text: str | None) -> Filters:
        """Read the query parameter; `invalid filter` is an InvalidArgument."""
        if not text:
            return cls()
        try:
            decoded = json.loads(text)
            if not isinstance(decoded, dict):
                raise ValueError("not an object")
            return cls({name: _values(value) for name, value in decoded.items()})
        except (ValueError, RecursionError) as error:
            raise errors.InvalidArgument(f"invalid filter: {text[:200]}: {error}") from error

    def accept(self, *names: str) -> Filters:
        """Itself, when it has no other names than these."""
        for name in self._values:
            if name not in names:
                raise errors.InvalidArgument(f"invalid filter '{name}'")
        return self

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def __bool__(self) -> bool:
        return any(self._values.values())

    def get(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean filter such as `dangling`."""
        if name not in self:
            return default
        values = {value.lower() for value in self.get(name)}
        if values <= {"1", "true", "t"}:
            return True
        if values <= {"0", "false", "f"}:
            return False
        raise errors.InvalidArgument(f"invalid filter '{name}=[{' '.join(self.get(name))}]'")

    def exact(self, name: str, *candidates: str) -> bool:
        """No such filter, or one of its values is one of these."""
        return name not in self or any(value in candidates for value in self.get(name))

    def match(self, name: str, *candidates: str) -> bool:
        """As `exact`, and a value may also be a regular expression or part (Docker's `name`)."""
        if self.exact(name, *candidates):
            return True
        for value in self.get(name):
            try:
                pattern = re.compile(value)
            except re.error:
                continue
            if any(pattern.search(candidate) for candidate in candidates):
                return True
        return False

    def prefix(self, name: str, candidate: str) -> bool:
        return name not in self or any(candidate.startswith(value) for value in self.get(name))

    def labels(self, labels: Mapping[str, str] | None, name: str = "label") -> bool:
        """Every `key` or `key=value` given is among the labels; `label!` asks for the opposite."""
        have = labels or {}

        def has(wanted: str) -> bool:
            key, equals, value = wanted.partition("=")
            return key in have and (not equals or have[key] == value)

        return all(map(has, self.get(name))) and not any(map(has, self.get(name + "!")))


def _values(value: object) -> list[str]:
    if isinstance(value, dict):
        return [str(key) for key, on in value.items() if on]
    if isinstance(value, list):
        return [str(item) for item in value]
    if isinstance(value, str):
        return [value]
    raise ValueError("a filter is a list or an object")
