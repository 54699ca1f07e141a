"""What a Dockerfile offers: its stages, and what one of them can be given."""

from __future__ import annotations

import pytest

from sampan.build import dockerfile, outline
from sampan.build.errors import DockerfileError
from sampan.build.scope import Platform

TEXT = """
ARG tag=1
ARG unused=x
# base says what to start from
ARG base=image:${tag}
FROM $base AS first
# this comment is about nothing
ARG plain=p
# given comes from outside
ARG given=default
RUN --mount=type=secret,target=/etc/pass,required --mount=type=ssh true

FROM other AS apart
ARG elsewhere
RUN --mount=type=secret,id=never true

# last is what one wants
FROM scratch AS last
ARG tag
COPY --from=first /x /
RUN --mount=type=secret,id=key${tag} --mount=type=ssh,id=git,required true

FROM last
ARG again=a
ENV again=b
ARG more=$again
"""


def asked(target: str, **given: str) -> outline.Outline:
    return outline.outline(dockerfile.parse(TEXT), target, given, Platform.of("linux/amd64"))


def test_an_outline_has_what_the_target_and_its_stages_take() -> None:
    found = asked("last", given="mine")
    assert (found.name, found.description) == ("last", "is what one wants")
    shown = [(one.name, one.value, one.description, one.line) for one in found.args]
    assert shown == [
        ("tag", "1", "", 2),
        ("base", "image:1", "says what to start from", 5),
        ("plain", "p", "", 8),
        ("given", "mine", "comes from outside", 10),
    ]
    secrets = [(one.name, one.required, one.line) for one in found.secrets]
    assert secrets == [("pass", True, 11), ("key1", False, 21)]
    agents = [(one.name, one.required) for one in found.agents]
    assert agents == [("default", False), ("git", True)]


def test_values_follow_the_order_of_arg_and_env() -> None:
    found = {one.name: one.value for one in asked("").args}
    assert (found["again"], found["more"]) == ("a", "b")
    with pytest.raises(DockerfileError, match="nowhere"):
        asked("nowhere")


def test_targets_are_the_stages() -> None:
    found = outline.targets(dockerfile.parse(TEXT))
    assert [(one.name, one.base, one.line, one.default) for one in found] == [
        ("first", "$base", 6, False),
        ("apart", "other", 13, False),
        ("last", "scratch", 18, False),
        ("", "last", 23, True),
    ]
    assert [one.description for one in found] == ["", "", "is what one wants", ""]
