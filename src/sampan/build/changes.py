"""The Dockerfile instructions that `commit --change` and `import --change` take.

They are read as a Dockerfile's are, variables of the image's environment included.
"""

from __future__ import annotations

from sampan.build import instructions, parser, state
from sampan.build.errors import DockerfileError
from sampan.build.scope import Scope
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_ALLOWED = {
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL"),
    *("USER", "VOLUME", "WORKDIR"),
}


class BadChange(errors.InvalidArgument):
    def __init__(self, line: str, why: str) -> None:
        super().__init__(f"--change {line!r}: {why}")


def apply(config: dict[str, Any], lines: Iterable[str]) -> None:
    """Change the `config` part of an image config in place; a text may be several lines, as of a
    Dockerfile. Raises BadChange."""
    text = "\n".join(lines)
    if not text.strip():
        return
    try:
        document = parser.parse(text)
    except DockerfileError as error:
        raise BadChange(text, error.reason) from None
    now = state.State(config={"created": "", "config": config})
    scope = Scope(document.escape, {}, now.env)
    for statement in document.statements:
        word = statement.keyword
        if word.upper() not in _ALLOWED:
            raise errors.InvalidArgument(f"{word.lower()} is not a valid change command")
        try:
            made = state.after(now, instructions.parse(statement).expanded(scope))
        except DockerfileError as error:
            raise BadChange(statement.original, error.reason) from None
        assert made is not None, word
        now, scope.env = made, made.env
    changed = now.config["config"]
    config.clear()
    config.update(changed)
