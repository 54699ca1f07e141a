"""`# check=skip=A,B;error=true;experimental=all`: which rules a Dockerfile wants.

At the top it holds for the file; directly above an instruction for that one too.
"""

from __future__ import annotations

from sampan.build import directives
from sampan.build.errors import DockerfileError
from sampan.build.instructions import csv
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.build.directives import Directive

_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
_MOST = 3  # one of each kind


class Settings(Record):
    skip: frozenset[str] = frozenset()  # "all": every rule but the experimental ones
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: str, *, experimental: bool) -> bool:
        if experimental:
            return not self.experimental.isdisjoint((rule, "all"))
        return self.skip.isdisjoint((rule, "all"))

    def joined(self, other: Settings) -> Settings:
        return self.replace(
            skip=self.skip | other.skip, experimental=self.experimental | other.experimental
        )


def of(directive: Directive | None, args: Mapping[str, str]) -> Settings:
    """`--build-arg BUILDKIT_DOCKERFILE_CHECK` takes the place of the file's own."""
    if given := args.get(_ARGUMENT):
        return parse(given)
    if directive is None:
        return Settings()
    try:
        return parse(directive.value)
    except DockerfileError as error:
        raise error.at(directive.line) from None


def parse(text: str) -> Settings:
    found = Settings()
    for part in text.split(";", _MOST - 1) if text.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        names = frozenset(name.strip() for name in value.split(","))
        if not equals or key not in ("skip", "experimental", "error"):
            raise DockerfileError(f'invalid check option "{part if not equals else key}"')
        if key == "error":
            found = found.replace(error=csv.boolean("check option error", value))
        else:
            found = found.replace(**{key: names})
    return found


def above(comments: Iterable[str]) -> Settings:
    """What the comments over an instruction skip; one that makes no sense is only a comment."""
    for comment in comments:
        reader = directives.Reader("")
        directive = reader.feed(comment, 0)
        if directive is not None and directive.name == "check":
            try:
                return parse(directive.value.partition(" ")[0])
            except DockerfileError:
                return Settings()
    return Settings()
