"""The warnings found so far, less those that the Dockerfile does not want."""

from __future__ import annotations

from sampan.build.checks import settings
from sampan.build.checks.rules import EXPERIMENTAL, RULES, Warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.checks.settings import Settings
    from sampan.build.parser import Statement


class Collector:
    def __init__(self, wanted: Settings) -> None:
        self._wanted = wanted
        self._found: list[Warning] = []

    def add(
        self, rule: str, *facts: str, of: Statement | None = None, line: int = 0, hint: str = ""
    ) -> None:
        wanted = self._wanted.joined(settings.above(of.comments)) if of else self._wanted
        if wanted.wants(rule, experimental=rule in EXPERIMENTAL):
            place = (of.line, of.end) if of else (line, line)
            message = RULES[rule].format(*facts) + hint
            self._found.append(Warning(rule=rule, message=message, line=place[0], end=place[1]))

    def warnings(self) -> tuple[Warning, ...]:
        """In the order of lines; what was found twice at one place is there once."""
        return tuple(sorted(dict.fromkeys(self._found), key=lambda warning: warning.line))
