"""What images are called: patterns, repositories, changes of a commit, platforms of others."""

from __future__ import annotations

import io
import json
import tarfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine_process import Engine
from tests.image.archives import archive, member

pytestmark = pytest.mark.needs("mount")


@pytest.fixture
def base(engine: Engine) -> Iterator[str]:
    """An image that is stored whole; the engine's busybox has no manifest."""
    packed = archive(member("a", data=b"1"))
    asked = "/images/create?fromSrc=-&repo=base-of-names"
    status, answer = engine.request("POST", asked, packed)
    assert status == 200, answer
    yield "base-of-names"
    engine.request("DELETE", "/images/base-of-names")


def commit(engine: Engine, name: str, *changes: str, base: str) -> str:
    container = engine.create("true", Image=base)
    asked = [("container", container), ("repo", name), *(("changes", c) for c in changes)]
    status, answer = engine.request("POST", f"/commit?{urllib.parse.urlencode(asked)}", {})
    engine.request("DELETE", f"/containers/{container}")
    assert status == 201, answer
    return str(answer["Id"])


def config(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.request("GET", f"/images/{name}/json")[1]["Config"]
    return found


@pytest.fixture
def named(engine: Engine, base: str) -> Iterator[tuple[str, ...]]:
    names = ("names/one:a", "names/one:b", "names/more/two:a")
    for name in names:
        repository, _, tag = name.rpartition(":")
        asked = urllib.parse.urlencode({"repo": repository, "tag": tag})
        assert engine.request("POST", f"/images/{base}/tag?{asked}")[0] == 201
    yield names
    for name in names:
        engine.request("DELETE", f"/images/{name}")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("names/*", {"names/one:a", "names/one:b"}),
        ("names/*:a", {"names/one:a"}),
        ("names*", set()),
        ("*/*/*", {"names/more/two:a"}),
        ("names/one", {"names/one:a", "names/one:b"}),
    ],
)
def test_a_star_of_a_pattern_ends_at_a_slash(
    engine: Engine, named: tuple[str, ...], pattern: str, found: set[str]
) -> None:
    filters = urllib.parse.quote(json.dumps({"reference": [pattern]}))
    listed = engine.request("GET", f"/images/json?filters={filters}")[1]
    assert {tag for image in listed for tag in image["RepoTags"]} == found


def test_a_repository_is_saved_with_all_its_tags(engine: Engine, named: tuple[str, ...]) -> None:
    status, body = engine.request("GET", "/images/get?names=names/one")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        tags = [tag for image in json.load(manifest) for tag in image["RepoTags"]]
    assert tags == ["names/one:a", "names/one:b"]


def test_a_name_that_looks_like_a_digest_is_refused(engine: Engine) -> None:
    status, answer = engine.request("POST", "/images/busybox/tag?repo=sha256&tag=some")
    assert (status, "using digest algorithm as name" in answer["message"]) == (400, True)


def test_changes_of_a_commit_know_the_variables(engine: Engine, base: str) -> None:
    commit(engine, "changed:1", "ENV PATH=/bin", "WORKDIR /a", 'LABEL x="$PATH"', base=base)
    second = (
        "ENV PATH=/usr/bin:$PATH",
        "WORKDIR b",
        "EXPOSE 80",
        "HEALTHCHECK --interval=5s CMD true",
    )
    commit(engine, "changed:2", *second, base="changed:1")
    found = config(engine, "changed:2")
    assert found["Env"] == ["PATH=/usr/bin:/bin"]
    assert found["WorkingDir"] == "/a/b"
    assert found["Labels"] == {"x": "/bin"}
    assert found["ExposedPorts"] == {"80/tcp": {}}
    assert found["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000}
    for name in ("changed:2", "changed:1"):
        engine.request("DELETE", f"/images/{name}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("RUN true", "run is not a valid change command"),
        ("ENV a", "ENV must have two arguments"),
        ("EXPOSE x", "invalid containerPort: x"),
    ],
)
def test_a_change_that_is_none_is_named(engine: Engine, change: str, words: str) -> None:
    container = engine.create("true")
    asked = urllib.parse.urlencode({"container": container, "changes": change})
    status, answer = engine.request("POST", f"/commit?{asked}", {})
    assert (status, words in answer["message"]) == (400, True), answer
    engine.request("DELETE", f"/containers/{container}")


def test_an_import_is_for_linux(engine: Engine) -> None:
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    asked = "/images/create?fromSrc=-&repo=imported&platform=macos/arm64"
    status, answer = engine.request("POST", asked, empty.getvalue())
    assert (status, "operating system is not supported" in answer["message"]) == (400, True)


def test_an_image_with_a_tag_and_its_digest_goes_by_id(
    engine: Engine, base: str, registry: str
) -> None:
    """As everything that was pulled."""
    name = f"{registry}/by-id"
    image = commit(engine, f"{name}:1", "LABEL a=1", base=base)
    assert engine.request("POST", f"/images/{name}/push?tag=1")[0] == 200
    engine.request("POST", f"/images/{name}:1/tag?repo={name}&tag=2")
    status, answer = engine.request("DELETE", f"/images/{image}")
    assert (status, "referenced in multiple repositories" in answer["message"]) == (409, True)
    engine.request("DELETE", f"/images/{name}:2")
    assert engine.request("DELETE", f"/images/{image}")[0] == 200


def test_events_of_images_are_found_by_label(engine: Engine, base: str) -> None:
    begun = time.time()
    image = commit(engine, "told:1", "LABEL of.test=yes", base=base)
    engine.request("POST", "/images/told:1/tag?repo=told&tag=2")
    engine.request("GET", "/images/told:2/get")
    filters = urllib.parse.quote(json.dumps({"label": ["of.test=yes"], "type": ["image"]}))
    asked = f"/events?since={begun:f}&until={time.time():f}&filters={filters}"
    body: bytes = engine.request("GET", asked)[1]
    told = [json.loads(line) for line in body.splitlines()]
    assert [(event["Action"], event["id"]) for event in told] == [
        (action, image) for action in ("tag", "tag", "save")
    ]
    for name in ("told:1", "told:2"):
        engine.request("DELETE", f"/images/{name}")


def test_a_tag_outlives_its_repository_digest(engine: Engine, base: str, registry: str) -> None:
    name = f"{registry}/outlives"
    engine.request("POST", f"/images/{base}/tag?repo={name}&tag=1")
    assert engine.request("POST", f"/images/{name}/push?tag=1")[0] == 200
    engine.request("DELETE", f"/images/{base}")
    (digest,) = engine.request("GET", f"/images/{name}:1/json")[1]["RepoDigests"]
    status, removed = engine.request("DELETE", f"/images/{digest}?force=1")
    assert (status, removed) == (200, [{"Untagged": digest}])
    assert engine.request("GET", f"/images/{name}:1/json")[1]["RepoDigests"] == []
    removed = engine.request("DELETE", f"/images/{name}:1")[1]
    assert removed[0] == {"Untagged": f"{name}:1"}
    assert "Deleted" in removed[1]


def listed(engine: Engine, **filters: str) -> dict[str, str]:
    """Names of containers, and what their images are called."""
    asked = urllib.parse.quote(json.dumps({key: [value] for key, value in filters.items()}))
    found = engine.request("GET", f"/containers/json?all=1&filters={asked}")[1]
    return {container["Names"][0]: container["Image"] for container in found}


def test_containers_are_found_by_what_their_images_were_made_of(engine: Engine, base: str) -> None:
    """Images without a layer of their own, too."""
    commit(engine, "made:1", "LABEL a=1", base=base)
    commit(engine, "made:2", "LABEL a=2", base=base)
    commit(engine, "made:3", "LABEL a=3", base="made:1")
    for tag in "123":
        engine.create("x", name=f"of-{tag}", Image=f"made:{tag}")
    assert listed(engine, ancestor="made:1").keys() == {"/of-1", "/of-3"}
    assert listed(engine, ancestor="made:2").keys() == {"/of-2"}
    assert listed(engine, ancestor=base).keys() == {"/of-1", "/of-2", "/of-3"}
    for tag in "321":
        engine.request("DELETE", f"/containers/of-{tag}")
        engine.request("DELETE", f"/images/made:{tag}")


def test_a_container_shows_its_images_id_when_the_name_is_anothers(
    engine: Engine, base: str
) -> None:
    first = commit(engine, "moves:1", "LABEL a=1", base=base)
    engine.create("x", name="moved", Image="moves:1")
    assert listed(engine, name="moved") == {"/moved": "moves:1"}
    commit(engine, "moves:1", "LABEL a=2", base=base)
    assert listed(engine, name="moved") == {"/moved": first}
    engine.request("DELETE", "/containers/moved")
    engine.request("DELETE", "/images/moves:1")


def test_what_only_others_were_made_from_is_listed_when_asked(engine: Engine, base: str) -> None:
    lower = commit(engine, "between:1", "LABEL a=1", base=base)
    upper = commit(engine, "between:2", "LABEL a=2", base="between:1")
    commit(engine, "between:1", "LABEL a=3", base=base)  # the first one's name goes
    for asked, wanted in (("", False), ("?all=1", True)):
        listed = {image["Id"] for image in engine.request("GET", f"/images/json{asked}")[1]}
        assert (lower in listed, upper in listed) == (wanted, True)
    for name in ("between:2", "between:1"):
        engine.request("DELETE", f"/images/{name}")


def test_etc_belongs_to_whom_the_image_says(engine: Engine) -> None:
    """The mount points that the engine adds there change nothing of it, nor does a commit."""
    binary = Path("/usr/bin/busybox").read_bytes()
    packed = archive(
        member("etc", "directory", mode=0o750, uid=1001, gid=1002),
        member("bin", "directory"),
        member("bin/busybox", data=binary, mode=0o755),
        *(member(f"bin/{name}", "symlink", link="busybox") for name in ("sh", "stat")),
    )
    status, answer = engine.request("POST", "/images/create?fromSrc=-&repo=owned", packed)
    assert status == 200, answer
    made = engine.create("sh", "-c", "stat -c '%u:%g %a' /etc; > /etc/new", Image="owned")
    for image in ("owned", "owned:2"):
        container = engine.create("stat", "-c", "%u:%g %a", "/etc", Image=image, Tty=True)
        engine.request("POST", f"/containers/{container}/start")
        engine.wait(container)
        body = engine.request("GET", f"/containers/{container}/logs?stdout=1")[1]
        assert body == b"1001:1002 750\r\n"
        engine.request("DELETE", f"/containers/{container}")
        if image == "owned":
            engine.request("POST", f"/containers/{made}/start")
            engine.wait(made)
            asked = f"/commit?container={made}&repo=owned&tag=2"
            assert engine.request("POST", asked, {})[0] == 201
    engine.request("DELETE", f"/containers/{made}")
    for image in ("owned:2", "owned"):
        engine.request("DELETE", f"/images/{image}")


def test_a_pull_without_a_tag_brings_them_all(engine: Engine, base: str, registry: str) -> None:
    name = f"{registry}/every"
    for tag in "12":
        commit(engine, f"{name}:{tag}", f"LABEL a={tag}", base=base)
        assert engine.request("POST", f"/images/{name}/push?tag={tag}")[0] == 200
        engine.request("DELETE", f"/images/{name}:{tag}")
    status, answer = engine.request("POST", f"/images/create?fromImage={name}")
    assert (status, b"error" in answer) == (200, False)
    for tag in "12":
        assert config(engine, f"{name}:{tag}")["Labels"] == {"a": tag}
        engine.request("DELETE", f"/images/{name}:{tag}")
    status, answer = engine.request("POST", f"/images/create?fromImage={registry}/nosuch")
    assert status == 404, answer
