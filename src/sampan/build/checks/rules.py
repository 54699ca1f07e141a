"""The 22 rules: BuildKit's names and messages, so that its documentation applies.

`RULES[name]` is the message with its places. "Build checks" in Docker's documentation.
"""

from __future__ import annotations

import re

from sampan.build.checks.reasons import REASONS
from sampan.kit.record import Record

RULES = {
    "StageNameCasing": "Stage name '{}' should be lowercase",
    "FromAsCasing": "'{}' and '{}' keywords' casing do not match",
    "NoEmptyContinuation": "Empty continuation line",
    "ConsistentInstructionCasing": (
        "Command '{}' should match the case of the command majority ({})"
    ),
    "DuplicateStageName": 'Duplicate stage name "{}", stage names should be unique',
    "ReservedStageName": 'Stage name should not use the same name as reserved stage "{}"',
    "JSONArgsRecommended": (
        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals"
    ),
    "MaintainerDeprecated": "Maintainer instruction is deprecated in favor of using label",
    "UndefinedArgInFrom": "FROM argument '{}' is not declared",
    "WorkdirRelativePath": (
        'Relative workdir "{}" can have unexpected results if the base image changes'
    ),
    "UndefinedVar": "Usage of undefined variable '${}'",
    "MultipleInstructionsDisallowed": (
        "Multiple {} instructions should not be used in the same stage"
        " because only the last one will be used"
    ),
    "LegacyKeyValueFormat": (
        '"{0} key=value" should be used instead of legacy "{0} key value" format'
    ),
    "InvalidBaseImagePlatform": (
        'Base image {} was pulled with platform "{}", expected "{}" for current build'
    ),
    "RedundantTargetPlatform": (
        "Setting platform to predefined {} in FROM is redundant as this is the default behavior"
    ),
    "SecretsUsedInArgOrEnv": ('Do not use ARG or ENV instructions for sensitive data ({} "{}")'),
    "InvalidDefaultArgInFrom": (
        "Default value for ARG {} results in empty or invalid base image name"
    ),
    "FromPlatformFlagConstDisallowed": 'FROM --platform flag should not use constant value "{}"',
    "CopyIgnoredFile": 'Attempting to {} file "{}" that is excluded by .dockerignore',
    "ExposeProtoCasing": "Defined protocol '{}' in EXPOSE instruction should be lowercase",
    "ExposeInvalidFormat": (
        "EXPOSE instruction should not define an IP address or host-port mapping, found '{}'"
    ),
    "InvalidDefinitionDescription": (
        "Comment for {} should follow the format: `# {} <description>`"
    ),
}
EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})
_WITHOUT_PAGE = frozenset({"InvalidBaseImagePlatform"})
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Warning(Record):
    rule: str
    message: str
    line: int = 0
    end: int = 0

    @property
    def reason(self) -> str:
        return REASONS[self.rule]

    @property
    def url(self) -> str:
        """Where Docker explains the rule; empty where it does not."""
        slug = _WORD.sub("-", self.rule).lower()
        known = self.rule not in _WITHOUT_PAGE
        return f"https://docs.docker.com/go/dockerfile/rule/{slug}/" if known else ""
