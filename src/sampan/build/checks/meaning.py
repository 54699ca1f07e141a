"""The rules that follow variables, bases and paths: they see the stages that the target needs."""

from __future__ import annotations

import posixpath
import re

from sampan.build.instructions.add import Add
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.base import did_you_mean
from sampan.build.instructions.cmd import Cmd
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.entrypoint import Entrypoint
from sampan.build.instructions.env import Env
from sampan.build.instructions.expose import Expose
from sampan.build.instructions.healthcheck import Healthcheck
from sampan.build.instructions.label import Label
from sampan.build.instructions.shell import Shell
from sampan.build.instructions.workdir import Workdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sampan.build.checks.collector import Collector
    from sampan.build.dockerfile import Stage
    from sampan.build.ignore import Matcher
    from sampan.build.instructions.base import Instruction
    from sampan.build.scope import Scope

_SECRET = re.compile(
    r"(?i)(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)"
)
_HARMLESS = re.compile(r"(?i)(?:_|^)(?:public|file|version)(?:_|$)")


class StageCheck:
    """One stage, step by step; a stage that starts from it goes on with what it knows."""

    def __init__(
        self,
        scope: Scope,
        outer: Scope,
        found: Collector,
        ignored: Matcher | None,
        base: Mapping[str, Any] | None,
    ) -> None:
        self.scope, self._outer, self._found, self._ignored = scope, outer, found, ignored
        self.base_known = base is not None
        self.shell = bool((base or {}).get("Shell"))
        self.workdir = False
        self._last: dict[str, Instruction] = {}

    def look(self, stage: Stage) -> None:
        for step in stage.steps:
            self._step(step)

    def _step(self, step: Instruction) -> None:
        self.scope.missing.clear()
        if isinstance(step, Arg):
            self.scope.declare(step, self._outer.args)
            self._secrets("ARG", [name for name, _ in step.pairs], step)
            self._undefined(step)
            return
        made = step.expanded(self.scope)
        self._undefined(step)
        match made:
            case Env() | Label():
                self._pairs(made)
            case Cmd() | Entrypoint() | Healthcheck():
                self._command(made)
            case Copy() | Add():
                self._sources(made)
            case Expose():
                self._ports(made)
            case Shell():
                self.shell = True
            case Workdir():
                if not self.workdir and not made.path.startswith("/"):
                    self._found.add("WorkdirRelativePath", made.path, of=made.statement)
                self.workdir = True
            case _:
                pass

    def _undefined(self, step: Instruction) -> None:
        if not self.base_known:
            return  # an image that nobody has looked at may define it
        for name in sorted(self.scope.missing - set(self.scope.declared)):
            hint = did_you_mean(name, tuple(self.scope.values)).replace("mean ", "mean $")
            self._found.add("UndefinedVar", name, of=step.statement, hint=hint)

    def _secrets(self, kind: str, names: list[str], step: Instruction) -> None:
        for name in names:
            if _SECRET.search(name) and not _HARMLESS.search(name):
                self._found.add("SecretsUsedInArgOrEnv", kind, name, of=step.statement)

    def _pairs(self, step: Env | Label) -> None:
        if step.legacy:
            self._found.add("LegacyKeyValueFormat", step.name.upper(), of=step.statement)
        if isinstance(step, Env):
            self._secrets("ENV", [name for name, _ in step.pairs], step)
            self.scope.set(dict(step.pairs))

    def _command(self, step: Cmd | Entrypoint | Healthcheck) -> None:
        name = step.name.upper()
        before = self._last.get(name)
        if before is not None:
            self._found.add("MultipleInstructionsDisallowed", name, of=before.statement)
        self._last[name] = step
        if not isinstance(step, Healthcheck) and step.shell and not self.shell:
            self._found.add("JSONArgsRecommended", name, of=step.statement)

    def _sources(self, step: Copy | Add) -> None:
        if self._ignored is None or self._ignored.takes_back:
            return
        if isinstance(step, Copy) and step.origin:
            return
        for source in step.sources:
            if isinstance(step, Add) and ("://" in source or source.startswith("git@")):
                continue
            path = posixpath.normpath(source)
            shown = path.lstrip("/")
            ignored = self._ignored.ignores(shown) if shown not in ("", ".") else False
            if ignored or (shown in ("", ".") and self._ignored.everything):
                self._found.add("CopyIgnoredFile", step.name.title(), path, of=step.statement)

    def _ports(self, step: Expose) -> None:
        for text in step.ports:
            ports, _, protocol = text.partition("/")
            if protocol != protocol.lower():
                self._found.add("ExposeProtoCasing", text, of=step.statement)
            if ":" in ports:
                self._found.add("ExposeInvalidFormat", text, of=step.statement)
