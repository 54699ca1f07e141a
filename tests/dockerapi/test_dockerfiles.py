"""What the Dockerfiles of tests/conformance/dockerfiles become: the recorded outcome.

`./do conformance build` holds the same cases against buildah. Here are those without RUN, and one
of each kind with it: a container's start is most of their time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import dockerfiles
from tests.conformance.dockerfiles import Case, builders, images
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

WITH_RUN = {
    "onbuild", "run-opaque", "run-rename-directory", "run-kind-change", "run-hard-link-below",
    "run-heredoc-shebang", "volume-after-write", "run-mount-bind-stage", "stage-copy",
    "stage-copy-whiteouts", "stage-same-name", "stage-onbuild", "workdir-user",
}  # fmt: skip


def quick(case: Case) -> bool:
    written = (case.text("Dockerfile") or "") + (case.text("parent") or "")
    return "\nRUN " not in written or case.name in WITH_RUN


QUICK = [case for case in dockerfiles.cases() if quick(case)]


@pytest.fixture(scope="module")
def base() -> bytes:
    return builders.base()


@pytest.fixture(scope="module")
def ours(base: bytes) -> Iterator[builders.Ours]:
    with Engine(image=False) as engine:
        yield builders.Ours(engine, base)


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_a_dockerfile_becomes_what_is_recorded(
    case: Case, base: bytes, ours: builders.Ours, tmp_path: Path
) -> None:
    try:
        made = images.describe(ours.build(case, builders.context(case, tmp_path)), base)
    except builders.Failed as error:
        made = f"fails: {error}"
    said = case.text("fails")
    assert made.strip() == (case.text("image") or "" if said is None else f"fails: {said}").strip()
