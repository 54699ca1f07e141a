"""Each rule on a Dockerfile that breaks it, and on one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.build import checks, dockerfile, ignore
from sampan.build.errors import DockerfileError
from sampan.build.scope import Platform

PLATFORM = Platform(os="linux", architecture="amd64")


def look(text: str, **more: Any) -> list[tuple[str, str, int]]:
    more.setdefault("base", lambda _name, _platform: {"os": "linux", "architecture": "amd64"})
    inputs = checks.Inputs(platform=PLATFORM, **more)
    return [(w.rule, w.message, w.line) for w in checks.look(dockerfile.parse(text), inputs)]


EXEC = 'CMD ["x"]\n'


@pytest.mark.parametrize(
    ("text", "rule", "message", "line"),
    [
        ("FROM a AS Big", "StageNameCasing", "Stage name 'Big' should be lowercase", 1),
        ("FROM a as b", "FromAsCasing", "'as' and 'FROM' keywords' casing do not match", 1),
        ("FROM a\nRUN x \\\n\n y", "NoEmptyContinuation", "Empty continuation line", 4),
        (
            "FROM a\nRUN x\nrun y",
            "ConsistentInstructionCasing",
            "Command 'run' should match the case of the command majority (uppercase)",
            3,
        ),
        (
            "FROM a AS b\nFROM a AS b",
            "DuplicateStageName",
            'Duplicate stage name "b", stage names should be unique',
            2,
        ),
        (
            "FROM a AS context",
            "ReservedStageName",
            'Stage name should not use the same name as reserved stage "context"',
            1,
        ),
        (
            "FROM a\nCMD x",
            "JSONArgsRecommended",
            "JSON arguments recommended for CMD to prevent unintended behavior"
            " related to OS signals",
            2,
        ),
        (
            "FROM a\nMAINTAINER me",
            "MaintainerDeprecated",
            "Maintainer instruction is deprecated in favor of using label",
            2,
        ),
        (
            "ARG BASE=x\nFROM a$BAES",
            "UndefinedArgInFrom",
            "FROM argument 'BAES' is not declared (did you mean BASE?)",
            2,
        ),
        (
            "FROM a\nWORKDIR x",
            "WorkdirRelativePath",
            'Relative workdir "x" can have unexpected results if the base image changes',
            2,
        ),
        (
            "FROM a\nENV FOOD=x\nWORKDIR /$FODO",
            "UndefinedVar",
            "Usage of undefined variable '$FODO' (did you mean $FOOD?)",
            3,
        ),
        (
            f"FROM a\n{EXEC}{EXEC}",
            "MultipleInstructionsDisallowed",
            "Multiple CMD instructions should not be used in the same stage"
            " because only the last one will be used",
            2,
        ),
        (
            "FROM a\nENV a b",
            "LegacyKeyValueFormat",
            '"ENV key=value" should be used instead of legacy "ENV key value" format',
            2,
        ),
        (
            "FROM --platform=$TARGETPLATFORM a",
            "RedundantTargetPlatform",
            "Setting platform to predefined $TARGETPLATFORM in FROM is redundant"
            " as this is the default behavior",
            1,
        ),
        (
            "FROM a\nARG API_KEY",
            "SecretsUsedInArgOrEnv",
            'Do not use ARG or ENV instructions for sensitive data (ARG "API_KEY")',
            2,
        ),
        (
            "ARG TAG\nFROM a:$TAG",
            "InvalidDefaultArgInFrom",
            "Default value for ARG a:$TAG results in empty or invalid base image name",
            2,
        ),
        (
            "FROM --platform=linux/amd64 a",
            "FromPlatformFlagConstDisallowed",
            'FROM --platform flag should not use constant value "linux/amd64"',
            1,
        ),
        (
            "FROM a\nEXPOSE 80/TCP",
            "ExposeProtoCasing",
            "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
            2,
        ),
        (
            "FROM a\nEXPOSE 127.0.0.1:80:80",
            "ExposeInvalidFormat",
            "EXPOSE instruction should not define an IP address or host-port mapping,"
            " found '127.0.0.1:80:80'",
            2,
        ),
    ],
)
def test_a_broken_rule_has_buildkits_name_and_words(
    text: str, rule: str, message: str, line: int
) -> None:
    args = {"TAG": "1"} if "TAG\n" in text else {}
    assert look(text + "\n", args=args) == [(rule, message, line)]


@pytest.mark.parametrize(
    "text",
    [
        'FROM a AS b\nSHELL ["x"]\nCMD y',
        "FROM a\nARG V\nWORKDIR /$V",
        "FROM a\nENV PUBLIC_KEY=x TOKEN_FILE=y",
        "FROM --platform=$BUILDPLATFORM a",
        "FROM --platform=linux/amd64 a AS for-amd64",
        "FROM a\nWORKDIR /x\nWORKDIR y",
        "FROM a\nWORKDIR /${X:-y}\nENV X=$PATH",
    ],
)
def test_what_only_looks_like_it_is_fine(text: str) -> None:
    found = look(text + "\n")
    assert [rule for rule, _, _ in found if rule != "UndefinedVar"] == []
    assert ("UndefinedVar" in str(found)) == ("${X" in text)


def test_a_base_that_nobody_knows_may_define_anything() -> None:
    text = "FROM a\nWORKDIR /$FROM_THE_BASE\n"
    assert look(text, base=lambda *_: None) == []
    assert look(text, base=lambda *_: {"config": {"Env": ["FROM_THE_BASE=x"]},
                                       "os": "linux", "architecture": "amd64"}) == []  # fmt: skip


def test_a_base_of_another_platform_is_told() -> None:
    [(rule, message, _)] = look("FROM a", base=lambda *_: {"os": "linux", "architecture": "arm64"})
    assert rule == "InvalidBaseImagePlatform"
    assert '"linux/arm64", expected "linux/amd64"' in message


def test_ignored_files_are_told_unless_a_pattern_takes_some_back() -> None:
    text = "FROM a\nCOPY --from=a x /\nCOPY ./x /\nADD . /\n"
    [found] = look(text, ignored=ignore.Matcher(["x"]))
    assert found == (
        "CopyIgnoredFile", 'Attempting to Copy file "x" that is excluded by .dockerignore', 3
    )  # fmt: skip
    assert len(look(text, ignored=ignore.Matcher(["*"]))) == 2
    assert look(text, ignored=ignore.Matcher(["x", "!x/y"])) == []


def test_the_directive_skips_and_the_one_above_an_instruction_too() -> None:
    body = "FROM a AS B\nCMD x\n"
    assert look(f"# check=skip=StageNameCasing, JSONArgsRecommended;error=true\n{body}") == []
    assert look(f"# check=skip=all\n{body}") == []
    given = {"args": {"BUILDKIT_DOCKERFILE_CHECK": "skip=StageNameCasing"}}
    assert [one[0] for one in look(f"# check=skip=all\n{body}", **given)] == ["JSONArgsRecommended"]
    file = dockerfile.parse(f"# check=error=true\n{body}")
    assert checks.demanded(file, {}) and not checks.demanded(file, given["args"])
    [(rule, _, _)] = look("FROM a AS B\n# check=skip=JSONArgsRecommended why not\nCMD x\n")
    assert rule == "StageNameCasing"
    text = "# check=experimental=all\n# about it\nFROM a AS b\n"
    assert look(text)[0][0] == "InvalidDefinitionDescription"
    inside = "# check=experimental=all\nFROM a AS b\n# about it\nARG x\n# y is fine\nARG y=1\n"
    assert [(rule, line) for rule, _, line in look(inside)] == [("InvalidDefinitionDescription", 4)]
    with pytest.raises(DockerfileError, match="line 1: invalid check option"):
        look(f"# check=nonsense\n{body}")


def test_only_what_the_target_needs_is_followed() -> None:
    text = "FROM a AS one\nWORKDIR x\nFROM a AS two\nWORKDIR y\nFROM one AS three\nWORKDIR z\n"
    assert [line for _, _, line in look(text, target="three")] == [2]
    assert [line for _, _, line in look(text, target="two")] == [4]
    assert [line for _, _, line in look(text)] == [2]
    assert [line for _, _, line in look(text, alone=True)] == [2, 4]


def test_the_report_shows_the_place() -> None:
    text = "FROM a AS B\n"
    warnings = checks.look(dockerfile.parse(text), checks.Inputs(platform=PLATFORM))
    shown = checks.full(warnings, text, "Dockerfile")
    assert shown.startswith("Check complete, 1 warning has been found!\n\nWARNING: StageNameCasing")
    assert "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/" in shown
    assert "1 | >>> FROM a AS B" in shown
    line = "StageNameCasing: Stage name 'B' should be lowercase (line 1)"
    assert line in checks.summary(warnings)
