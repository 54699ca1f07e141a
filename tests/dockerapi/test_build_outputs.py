"""What comes out of a build: several platforms, archives, provenance; the same bytes everywhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from sampan.spec import oci_image
from tests.busybox_image import BUSYBOX
from tests.dockerapi.test_build import build as classic
from tests.dockerapi.test_build import made, packed
from tests.dockerapi.test_buildkit import builder
from tests.engine_process import Engine
from tests.registry import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Build = Callable[..., str]

pytestmark = [pytest.mark.needs("mount"), pytest.mark.needs("docker-registry")]

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "src")
BOTH = ("--platform", "linux/amd64,linux/arm64")
RUN = 'RUN ["/bin/busybox", "sh", "-c", "{}"]\n'
# A cross build: the steps run here, whatever they are for.
CROSS = (
    "FROM --platform=$BUILDPLATFORM scratch AS work\nCOPY busybox /bin/busybox\n"
    "ARG TARGETARCH BUILDPLATFORM\n" + RUN.format("echo for $TARGETARCH on $BUILDPLATFORM >/out")
    + "FROM scratch\nCOPY --from=work /out /out\nLABEL a=b\n"
)  # fmt: skip


@pytest.fixture(scope="module")
def other() -> Iterator[Engine]:
    """A second engine, with a root of its own."""
    with Engine(image=False) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with support.docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def sampan(tmp_path: Path) -> Build:
    place = tmp_path / "context"
    place.mkdir()
    shutil.copy2(BUSYBOX, place / "busybox")

    def run(engine: Engine, *words: str, text: str = CROSS, fails: bool = False) -> str:
        (place / "Dockerfile").write_text(text)
        code = "import sys; from sampan.cli.main import main; sys.exit(main())"
        environment = {**os.environ, "PYTHONPATH": SOURCE, "SAMPAN_HOST": engine.docker_host}
        environment["SOURCE_DATE_EPOCH"] = "86400"
        tail = ["context"] if words[0] == "build" else []
        done = subprocess.run(
            [sys.executable, "-c", code, *words, *tail],
            capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert bool(done.returncode) == fails, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def blob(registry: str, name: str, what: str) -> dict[str, Any]:
    """A manifest by its tag or digest, or a blob."""
    kind = "blobs" if what.startswith("blob:") else "manifests"
    path = f"http://{registry}/v2/{name}/{kind}/{what.removeprefix('blob:')}"
    accept = ", ".join((*oci_image.MANIFESTS, *oci_image.INDEXES))
    with urllib.request.urlopen(urllib.request.Request(path, headers={"Accept": accept})) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_several_platforms_are_an_index_with_provenance(
    engine: Engine, other: Engine, registry: str, sampan: Build, tmp_path: Path
) -> None:
    name = f"{registry}/multi:1"
    found = []
    for one in (engine, other):
        sampan(one, "build", "--no-cache", *BOTH, "-t", name, "--push", "--metadata-file", "meta")
        found.append(json.loads((tmp_path / "meta").read_text()))
    assert found[0] == found[1]
    index = blob(registry, "multi", "1")
    platforms = [
        "/".join(e["platform"][k] for k in ("os", "architecture")) for e in index["manifests"]
    ]
    assert platforms == ["linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"]
    about = index["manifests"][2]
    assert about["annotations"]["vnd.docker.reference.digest"] == index["manifests"][0]["digest"]
    attestation = blob(registry, "multi", about["digest"])
    assert attestation["subject"]["digest"] == index["manifests"][0]["digest"]
    statement = blob(registry, "multi", f"blob:{attestation['layers'][0]['digest']}")
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {
            "name": f"pkg:docker/{registry.replace(':', '%3A')}/multi@1?platform=linux%2Famd64",
            "digest": {"sha256": index["manifests"][0]["digest"].removeprefix("sha256:")},
        }
    ]
    # This registry has no list of referrers: a tag stands in for it.
    listed = blob(registry, "multi", index["manifests"][0]["digest"].replace(":", "-"))
    assert [one["digest"] for one in listed["manifests"]] == [about["digest"]]
    # What is here under that name goes out again as it is.
    sampan(engine, "push", name)
    assert blob(registry, "multi", "1") == index
    shown = engine.request("GET", f"/images/{name}/json")[1]
    assert shown["Architecture"] == "amd64"


def test_a_base_is_chosen_by_platform_and_keeps_its_name(
    engine: Engine, other: Engine, registry: str, sampan: Build, tmp_path: Path
) -> None:
    name = f"{registry}/base:1"
    sampan(engine, "build", *BOTH, "-t", name, "--push", "--provenance=false")
    text = f"FROM {name}\nCOPY busybox /more\n"
    sampan(other, "build", "-t", "native:1", text=text)
    before = other.request("GET", f"/images/{name}/json")[1]["Id"]
    sampan(other, "build", *BOTH, "-o", "out", "--provenance=false", text=text)
    assert (tmp_path / "out/linux_arm64/out").read_text() == "for arm64 on linux/amd64\n"
    assert (tmp_path / "out/linux_amd64/out").read_text() == "for amd64 on linux/amd64\n"
    assert other.request("GET", f"/images/{name}/json")[1]["Id"] == before
    said = sampan(other, "build", "--platform", "linux/s390x", text=text, fails=True)
    assert "does not provide the specified platform (linux/s390x)" in said


def test_a_step_of_another_machine_needs_one(engine: Engine, sampan: Build) -> None:
    text = "FROM scratch\nCOPY busybox /bin/busybox\n" + RUN.format("echo never")
    said = sampan(engine, "build", "--platform", "linux/s390x", text=text, fails=True)
    assert "RUN for linux/s390x needs a host that runs its programs" in said


def test_each_door_gives_the_same_bytes(engine: Engine, sampan: Build, tmp_path: Path) -> None:
    attest = {"attest:provenance": "mode=min,inline-only=true"}
    given = {"build-arg:SOURCE_DATE_EPOCH": "86400", "platform": "linux/amd64,linux/arm64"}

    async def through_the_session() -> dict[str, str]:
        async with builder(engine, {"Dockerfile": CROSS}) as build:
            exporter = {"Type": "oci", "Attrs": {"name": "doors:1"}}
            return await build.solve("doors", [exporter], **attest, **given)

    told = asyncio.run(through_the_session())
    sampan(
        engine, "build", *BOTH, "-t", "doors:1", "-o", "type=oci,dest=a", "--metadata-file", "meta"
    )
    meta = json.loads((tmp_path / "meta").read_text())
    assert told["containerimage.digest"] == meta["containerimage.digest"]
    query = "buildargs=" + quote('{"SOURCE_DATE_EPOCH":"86400"}')
    assert (
        made(classic(engine, packed(CROSS, {}), query)[1]) == told["containerimage.config.digest"]
    )


@pytest.mark.parametrize(
    "form",
    [
        "type=oci,dest={},compression=zstd",
        "type=oci,dest={},compression=estargz,force-compression=true",
        "type=oci,dest={},oci-mediatypes=false,compression=uncompressed,attestation-inline=false",
        "type=tar,dest={}",
        "type=docker,dest={},compression=gzip,compression-level=9",
    ],
)
def test_archives_have_the_same_bytes_in_both_engines(
    engine: Engine, other: Engine, sampan: Build, tmp_path: Path, form: str
) -> None:
    platforms = BOTH if "docker" not in form else ()
    for name, one in (("first", engine), ("second", other)):
        sampan(one, "build", "--no-cache", *platforms, "-t", "same:1", "-o", form.format(name))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with tarfile.open(tmp_path / "first") as archive:
        texts = [archive.extractfile(one) for one in archive.getnames() if "sha256/" in one]
        documents = b"".join(t.read() for t in texts if t is not None)
    for words, kind in (("zstd", b"tar+zstd"), ("mediatypes=false", b'rootfs.diff.tar"')):
        assert (kind in documents) == (words in form)


def test_annotations_stand_where_they_belong(engine: Engine, sampan: Build, tmp_path: Path) -> None:
    notes = ("index:i=1", "manifest-descriptor:d=2", "m=3", "manifest[linux/arm64]:m=4")
    words = [word for note in notes for word in ("--annotation", note)]
    sampan(
        engine, "build", *BOTH, *words, "--provenance=false", "-o", "type=oci,dest=lay,tar=false"
    )

    def read(digest: str) -> dict[str, Any]:
        path = tmp_path / "lay/blobs/sha256" / digest.removeprefix("sha256:")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    top = json.loads((tmp_path / "lay/index.json").read_text())
    index = read(top["manifests"][0]["digest"])
    assert index["annotations"] == {"i": "1"}
    assert [one["annotations"] for one in index["manifests"]] == [{"d": "2"}] * 2
    assert [read(one["digest"])["annotations"] for one in index["manifests"]] == [
        {"m": "3"}, {"m": "4"},
    ]  # fmt: skip
    said = sampan(engine, "build", "--annotation", "index:a=b", fails=True)
    assert "no index is made of one platform" in said


def test_provenance_is_a_file_beside_files_and_not_in_the_engines_own_image(
    engine: Engine, sampan: Build, tmp_path: Path
) -> None:
    sampan(engine, "build", "-o", "plain", text=CROSS)
    assert not (tmp_path / "plain/provenance.json").exists()
    sampan(engine, "build", "--provenance", "mode=max", "-o", "out", text=CROSS)
    told = json.loads((tmp_path / "out/provenance.json").read_text())
    assert told["predicate"]["runDetails"]["metadata"]["buildkit_metadata"]["source"]
    digest = hashlib.sha256((tmp_path / "out/out").read_bytes()).hexdigest()
    assert told["subject"] == [{"name": "out", "digest": {"sha256": digest}}]
    sampan(engine, "build", "-t", "own:1", text=CROSS)
    found = engine.request("GET", "/images/own:1/json?manifests=1")[1]
    assert [one["Kind"] for one in found["Manifests"]] == ["image"]
    assert "type sbom are not supported" in sampan(
        engine, "build", "--sbom=true", text=CROSS, fails=True
    )
