"""`explain=1`: each step that is done again says what has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.dockerapi.test_build import START, build, packed

if TYPE_CHECKING:
    from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

RUN = 'RUN ["/bin/busybox", "true"]\n'


def reasons(engine: Engine, dockerfile: str, files: dict[str, str], query: str = "") -> list[str]:
    text, _ = build(engine, packed(dockerfile, files), f"explain=1&{query}")
    mark = " ---> Not cached: "
    return [line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)]


def test_each_step_says_what_has_changed(own_engine: Engine) -> None:
    engine = own_engine
    dockerfile = START + "ARG V\nCOPY src /src/\n" + RUN
    one, two = quote('{"V":"1"}'), quote('{"V":"2"}')
    files = {"src/a": "1", "src/b": "1"}
    first = reasons(engine, dockerfile, files, f"buildargs={one}")
    assert first == ["this step was not done before"] * 3
    assert reasons(engine, dockerfile, files, f"buildargs={one}") == []
    assert reasons(engine, dockerfile, files, f"buildargs={two}") == ["the variable V has changed"]
    changed = {"src/a": "2", "src/c": "1"}
    assert reasons(engine, dockerfile, changed, f"buildargs={two}") == [
        "the file src/a, src/b (gone), src/c (new) has changed",
        "what lies below it has changed: an earlier step was done again",
    ]
    engine.request("POST", "/build/prune?all=1")
    assert (
        reasons(engine, dockerfile, changed, f"buildargs={two}")
        == ["what it made was removed, by a prune or to stay within the budget"] * 3
    )
    assert reasons(engine, START, {}, "nocache=1") == [
        "--no-cache or --no-cache-filter asks for it"
    ]
