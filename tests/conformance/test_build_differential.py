"""Small Dockerfiles, each built by another builder and by us: config, tree, owners, history.

The tables are `dockerfiles/*.txt`. Where the other one, Debian's buildah or BuildKit itself, makes
something else of one, the case says why; a case that says so and makes the same fails as well.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import dockerfiles
from tests.conformance.dockerfiles import Case, builders, images
from tests.engine_process import Engine

PEER = os.environ.get("SAMPAN_PEER", "buildah")
pytestmark = [
    # They need some minutes for it: `./do conformance build`, `./do conformance buildkit`
    pytest.mark.skipif("SAMPAN_DIFFERENTIAL" not in os.environ, reason="./do conformance runs it"),
    pytest.mark.needs("mount", "netns", *(["buildah"] if PEER == "buildah" else [])),
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
def peer(base: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[builders.Peer]:
    if PEER == "buildkit" and not all(map(shutil.which, ("buildkitd", "buildctl"))):
        pytest.skip("buildkitd and buildctl are not in PATH")
    place = tmp_path_factory.mktemp(PEER)
    make = {"buildah": builders.Buildah, "buildkit": builders.BuildKit}[PEER]
    made = make(place, base)
    yield made
    made.close()


def outcome(builder: builders.Ours | builders.Peer, case: Case, place: Path, base: bytes) -> str:
    place.mkdir()
    try:
        return images.describe(builder.build(case, builders.context(case, place)), base)
    except builders.Failed as error:
        return f"fails: {error}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_other_and_we_make_the_same(
    case: Case, base: bytes, ours: builders.Ours, peer: builders.Peer, tmp_path: Path
) -> None:
    mine = outcome(ours, case, tmp_path / "ours", base)
    theirs = outcome(peer, case, tmp_path / "theirs", base)
    same = mine == theirs or (mine.startswith("fails") and theirs.startswith("fails"))
    if reason := case.differs.get(PEER):
        assert not same, f"{case.path.name} says that {PEER} {reason}; it does not differ"
    elif not same:
        assert mine == theirs
