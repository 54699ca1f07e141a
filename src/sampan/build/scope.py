"""Which variables a place in a Dockerfile sees.

Before the first FROM: ARGs, and the platform arguments. In a stage: the ARGs that it declares
(a default of the global ones included) and ENV, which wins. The proxy arguments need no
declaration; they reach RUN only, and no cache key. "Predefined ARGs" in the Dockerfile reference.
"""

from __future__ import annotations

import copy

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import did_you_mean
from sampan.build.shell import Expansion, Lexer
from sampan.kit.record import Record
from sampan.spec import oci_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.build.dockerfile import Dockerfile
    from sampan.build.instructions.arg import Arg

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PROXIES = (*_PROXIES, *(name.lower() for name in _PROXIES))
_BODY = Lexer(keep_quotes=True)


class Platform(Record):
    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, text: str) -> Platform:
        """Raises InvalidArgument."""
        found = oci_image.normal(oci_image.parse_platform(text))
        return cls(os=found.os, architecture=found.architecture, variant=found.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def arguments(self, prefix: str) -> dict[str, str]:
        return {
            f"{prefix}PLATFORM": str(self),
            f"{prefix}OS": self.os,
            f"{prefix}ARCH": self.architecture,
            f"{prefix}VARIANT": self.variant,
        }


class Scope:
    """Mutable while a stage is read; `word` and `words` expand with what is known now.

    `used` and `missing` collect the names that were met, until somebody clears them.
    """

    def __init__(self, escape: str, given: Mapping[str, str], env: Mapping[str, str] = {}) -> None:
        self._lexer = Lexer(escape=escape)
        self._given = given  # --build-arg
        self.env = dict(env)
        self.args: dict[str, str] = {}
        self.declared: list[str] = []
        self.used: set[str] = set()
        self.missing: set[str] = set()

    @classmethod
    def outermost(
        cls, file: Dockerfile, given: Mapping[str, str], platform: Platform, target: str = ""
    ) -> Scope:
        """What the FROMs see; `target` as the user named it."""
        scope = cls(file.document.escape, given)
        here = Platform.of(str(oci_image.host_platform()))
        scope.args |= {**platform.arguments("TARGET"), **here.arguments("BUILD")}
        scope.args["TARGETSTAGE"] = target or "default"
        for arg in file.arguments:
            scope.declare(arg)
        return scope

    def copy(self) -> Scope:
        """As it is now."""
        made = copy.copy(self)
        made.env, made.args, made.declared = dict(self.env), dict(self.args), [*self.declared]
        made.used, made.missing = set(), set()
        return made

    @property
    def values(self) -> dict[str, str]:
        return {**self.env, **self.args}

    def word(self, text: str) -> str:
        return self._expand(self._lexer, text).text

    def platform(self, text: str) -> str:
        """FROM's `--platform`, where it has one."""
        self.missing.clear()
        found = self.word(text)
        if text and not found:
            known = (*self.args, *self.declared)
            hints = "".join(did_you_mean(name, known) for name in sorted(self.missing))
            raise DockerfileError(f"empty platform value from expression {text}{hints}")
        return found

    def words(self, text: str) -> tuple[str, ...]:
        return self._expand(self._lexer, text).words

    def body(self, text: str) -> str:
        """A heredoc's: quotes are its own."""
        return self._expand(_BODY, text).text

    def _expand(self, lexer: Lexer, text: str) -> Expansion:
        found = lexer.expand(text, self.values)
        self.used |= found.used
        self.missing |= found.missing
        return found

    def declare(self, arg: Arg, inherited: Mapping[str, str] = {}) -> None:
        """The value given, or the default, or what the place before the first FROM has."""
        for name, default in arg.pairs:
            self.declared.append(name)
            if name in self._given:
                self.args[name] = self._given[name]
            elif default is not None:
                self.args[name] = self.word(default)
            elif name in inherited:
                self.args[name] = inherited[name]

    def set(self, env: Mapping[str, str]) -> None:
        """ENV: of it and ARG the later one counts, as in BuildKit."""
        self.env |= env
        for name in env:
            self.args.pop(name, None)

    def inherit(self, parent: Scope) -> None:
        """A stage that starts from another one goes on with its arguments, below its ENV."""
        self.args |= {k: value for k, value in parent.args.items() if k not in self.env}
        self.declared += parent.declared

    def arguments(self) -> dict[str, str]:
        """What RUN has of declared names, beside what only ENV gives."""
        values = self.values
        return {name: values[name] for name in self.declared if name in values}

    def proxies(self) -> dict[str, str]:
        """Given in either case, they are there in both."""
        found = {name.lower(): v for name, v in self._given.items() if name in PROXIES}
        return {case: v for name, v in found.items() for case in (name.upper(), name)}
