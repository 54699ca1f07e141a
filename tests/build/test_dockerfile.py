"""Stages and their names; what stands where it may not."""

from __future__ import annotations

import pytest

from sampan.build import dockerfile
from sampan.build.errors import DockerfileError

TEXT = "ARG V=1\nFROM base:$V AS One\nRUN x\nFROM one AS two\nFROM two\n"


def test_stages_are_found_by_name_and_number() -> None:
    parsed = dockerfile.parse(TEXT)
    assert [stage.title for stage in parsed.stages] == ["one", "two", "2"]
    one, zero = parsed.find("ONE"), parsed.find("0")
    assert one is not None
    assert one is zero
    assert parsed.find("two", before=1) is None
    assert parsed.target().index == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("RUN x\nFROM y", "RUN before the first FROM"),
        ("ARG x", "contains no stages"),
        ("FROM a\nCOPY x", "line 2: COPY requires at least two"),
        ("FROM a\nLABEL x=\udcff", "line 2: it is not UTF-8"),
    ],
)
def test_what_stands_where_it_may_not_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason):
        dockerfile.parse(text)


def test_a_target_that_is_none_has_a_suggestion() -> None:
    with pytest.raises(DockerfileError, match=r'"tow" could not be found \(did you mean two\?\)'):
        dockerfile.parse(TEXT).target("tow")
