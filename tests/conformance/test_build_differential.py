"""Small Dockerfiles, each built by Debian's buildah and by us: config, tree, owners, history.

The tables are `dockerfiles/*.txt`. Where buildah makes something else of one than BuildKit, the
case says why; a case that says so and makes the same fails as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import dockerfiles
from tests.conformance.dockerfiles import Case, builders, images
from tests.engine_process import Engine

pytestmark = [
    # buildah needs some minutes for it: `./do conformance build`
    pytest.mark.skipif("SAMPAN_DIFFERENTIAL" not in os.environ, reason="./do conformance runs it"),
    pytest.mark.needs("mount", "netns", "buildah"),
]
CASES = dockerfiles.cases()


@pytest.fixture(scope="module")
def base() -> bytes:
    return builders.base()


@pytest.fixture(scope="module")
def ours(base: bytes) -> Iterator[builders.Ours]:
    with Engine(image=False) as engine:
        yield builders.Ours(engine, base)


@pytest.fixture(scope="module")
def buildah(base: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[builders.Buildah]:
    place = tmp_path_factory.mktemp("buildah")
    made = builders.Buildah(place, base)
    yield made
    made.close()


def outcome(builder: builders.Ours | builders.Buildah, case: Case, place: Path, base: bytes) -> str:
    place.mkdir()
    try:
        return images.describe(builder.build(case, builders.context(case, place)), base)
    except builders.Failed as error:
        return f"fails: {error}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_buildah_and_we_make_the_same(
    case: Case, base: bytes, ours: builders.Ours, buildah: builders.Buildah, tmp_path: Path
) -> None:
    mine = outcome(ours, case, tmp_path / "ours", base)
    theirs = outcome(buildah, case, tmp_path / "buildah", base)
    same = mine == theirs or (mine.startswith("fails") and theirs.startswith("fails"))
    if case.buildah:
        assert not same, f"{case.path.name} says that buildah {case.buildah}; it does not differ"
    elif not same:
        assert mine == theirs
