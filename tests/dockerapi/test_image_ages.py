"""How old an image is: the bytes of a build know no clock, the engine knows when it made them."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dockerapi.test_build import build, made, packed
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

EPOCH = 86_400  # what the config says
LONG_AGO = ("2026-01-01T00:00:00.000000000Z", 1_767_225_600)


@pytest.fixture(autouse=True)
def tidy(engine: Engine) -> Iterator[None]:
    yield
    query = filters(label=["age=mine"], dangling=["false"])
    assert engine.request("POST", f"/images/prune?{query}")[0] == 200
    assert listed(engine, label=["age=mine"]) == []


def filters(**terms: list[str]) -> str:
    return urllib.parse.urlencode({"filters": json.dumps(terms)})


def listed(engine: Engine, **terms: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.request("GET", f"/images/json?{filters(**terms)}")[1]
    return found


def prune(engine: Engine) -> set[str]:
    """The ids of what goes of this file's images that are older than a day."""
    query = filters(label=["age=mine"], dangling=["false"], until=["24h"])
    status, answer = engine.request("POST", f"/images/prune?{query}")
    assert status == 200, answer
    return {one["Deleted"] for one in answer["ImagesDeleted"] or [] if "Deleted" in one}


def built(engine: Engine, name: str = "", base: str = "scratch") -> str:
    """An image of its own for each name."""
    dockerfile = f"FROM {base}\nLABEL age=mine name={name or 'none'}\n"
    arguments = urllib.parse.quote(json.dumps({"SOURCE_DATE_EPOCH": str(EPOCH)}))
    query = f"buildargs={arguments}" + (f"&t={name}" if name else "")
    return made(build(engine, packed(dockerfile, {}), query)[1])


def created(engine: Engine, image_id: str) -> int:
    (found,) = [one for one in listed(engine, label=["age=mine"]) if one["Id"] == image_id]
    return int(found["Created"])


def age(engine: Engine, image_id: str) -> None:
    """As if its build had been long ago."""
    db = sqlite3.connect(engine.paths.database)
    then = (LONG_AGO[0], LONG_AGO[0], image_id)
    db.execute("update images set made = ?, built = ? where id = ?", then)
    db.commit()
    db.close()


def loaded(engine: Engine, name: str) -> str:
    """What a build made, come back as a stranger."""
    image_id = built(engine, name)
    archive = engine.request("GET", f"/images/{name}/get")[1]
    engine.request("DELETE", f"/images/{name}")
    assert engine.request("POST", "/images/load", archive)[0] == 200
    return image_id


def test_what_was_just_built_is_young_and_its_config_is_as_it_was(engine: Engine) -> None:
    start = int(time.time())
    image_id = built(engine, "young")
    assert start <= created(engine, image_id) <= time.time()
    told = engine.request("GET", "/images/young/json")[1]
    assert told["Created"] == "1970-01-02T00:00:00Z"
    (step,) = engine.request("GET", "/images/young/history")[1]
    assert step["Created"] == EPOCH
    assert prune(engine) == set()
    assert listed(engine, label=["age=mine"], until=["24h"]) == []
    age(engine, image_id)
    assert prune(engine) == {image_id}


def test_what_was_loaded_is_as_old_as_it_says(engine: Engine) -> None:
    image_id = loaded(engine, "stranger")
    assert created(engine, image_id) == EPOCH
    assert prune(engine) == {image_id}


@pytest.mark.parametrize("name", ["again", ""])
def test_a_build_of_the_same_again_changes_no_time_but_keeps_from_prune(
    engine: Engine, name: str
) -> None:
    image_id = built(engine, name)
    age(engine, image_id)
    assert built(engine, name) == image_id
    assert created(engine, image_id) == LONG_AGO[1]
    assert prune(engine) == set()


def test_a_build_of_what_was_loaded_keeps_it_from_prune(engine: Engine) -> None:
    image_id = loaded(engine, "known")
    assert built(engine, "known") == image_id
    assert created(engine, image_id) == EPOCH
    assert prune(engine) == set()


def test_before_and_since_go_by_what_is_listed(engine: Engine) -> None:
    first, second = built(engine, "first"), built(engine, "second")

    def ids(**terms: list[str]) -> list[str]:
        return [one["Id"] for one in listed(engine, label=["age=mine"], **terms)]

    assert ids() == [second, first]
    assert ids(since=["first"]) == [second]
    assert ids(before=["second"]) == [first]
    assert ids(since=["busybox"]) == [second, first]


def test_what_an_old_image_was_made_from_stays_while_it_is_young(engine: Engine) -> None:
    parent = built(engine)
    child = built(engine, "child", base=parent)
    age(engine, child)
    assert prune(engine) == {child}
    assert [one["Id"] for one in listed(engine, label=["age=mine"])] == [parent]
