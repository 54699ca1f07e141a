"""What images can do over the API, Docker's and ours: platforms, copies, conversions, mounts."""

import io
import json
import os
import tarfile
import urllib.parse
import urllib.request

import pytest

from sampan.spec import oci_image
from tests.image import strong
from tests.image.archives import archive, member
from tests.registry import support

pytestmark = pytest.mark.needs("mount")


def one(architecture, *layers):
    config = oci_image.encode(
        {
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [oci_image.digest_of(x) for x in layers]},
        }
    )
    manifest = oci_image.encode(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.MANIFEST,
            "config": oci_image.descriptor(oci_image.CONFIG, config),
            "layers": [oci_image.descriptor(oci_image.LAYER, x) for x in layers],
        }
    )
    return manifest, [config, manifest, *layers]


HERE = oci_image.host_platform().architecture
LAYERS = [archive(member("a", data=b"1" * 100)), archive(member("a", data=b"2" * 50))]
MINE, MY_BLOBS = one(HERE, *LAYERS)
OTHER, OTHER_BLOBS = one("s390x", archive(member("b", data=b"s390x")))
INDEX = oci_image.encode(
    {
        "schemaVersion": 2,
        "mediaType": oci_image.INDEX,
        "manifests": [
            oci_image.descriptor(
                oci_image.MANIFEST, data, platform={"os": "linux", "architecture": architecture}
            )
            for data, architecture in ((OTHER, "s390x"), (MINE, HERE))
        ],
    }
)


def layout(name):
    top = oci_image.descriptor(oci_image.INDEX, INDEX)
    top["annotations"] = {"io.containerd.image.name": f"docker.io/library/{name}"}
    blobs = [
        member("blobs/" + oci_image.digest_of(data).replace(":", "/"), data=data)
        for data in (*MY_BLOBS, *OTHER_BLOBS, INDEX)
    ]
    books = {"index.json": {"manifests": [top]}, "oci-layout": {"imageLayoutVersion": "1.0.0"}}
    files = [member(path, data=json.dumps(book).encode()) for path, book in books.items()]
    return archive(*files, *blobs)


@pytest.fixture
def both(engine):
    """An image of two platforms, both stored."""
    status, answer = engine.request("POST", "/images/load", layout("both:1"))
    assert status == 200, answer
    yield "both:1"
    engine.request("DELETE", "/images/both:1?force=1")


def test_the_platforms_of_an_image(engine, both):
    _, told = engine.request("GET", f"/images/{both}/json?manifests=1")
    assert told["Descriptor"]["digest"] == oci_image.digest_of(INDEX)
    assert [m["ImageData"]["Platform"]["architecture"] for m in told["Manifests"]] == [
        "s390x",
        HERE,
    ]
    assert all(m["Available"] for m in told["Manifests"])
    platform = '{"os":"linux","architecture":"s390x"}'
    status, other = engine.request("GET", f"/images/{both}/json?platform={platform}")
    assert (status, other["Architecture"]) == (200, "s390x")
    status, answer = engine.request("GET", f"/images/{both}/json?platform=linux/riscv64")
    assert status == 404
    assert "does not provide the specified platform" in answer["message"]


def test_a_container_of_the_platform_asked_for(engine, both):
    def create(query, body):
        status, made = engine.request(
            "POST", f"/containers/create{query}", {"Image": both, "Cmd": ["x"], **body}
        )
        if status != 201:
            return status, made["message"]
        _, told = engine.request("GET", f"/containers/{made['Id']}/json")
        engine.request("DELETE", f"/containers/{made['Id']}")
        return told["Image"], made["Warnings"]

    mine, others = (oci_image.digest_of(blobs[0]) for blobs in (MY_BLOBS, OTHER_BLOBS))
    assert create("", {}) == (mine, [])
    assert create(f"?platform=linux/{HERE}", {}) == (mine, [])
    assert create("?platform=linux/s390x", {}) == (others, [])
    status, message = create("?platform=linux/riscv64", {})
    assert status == 404
    assert "both:1 was found but does not provide the specified platform (linux/riscv64)" in message
    created = create("", {"Image": others})
    assert "platform (linux/s390x) does not match the detected host platform" in created[1][0]
    engine.request("DELETE", f"/images/{others}")


def test_a_platform_is_removed(engine, both):
    def available():
        _, told = engine.request("GET", f"/images/{both}/json?manifests=1")
        return [m["Available"] for m in told["Manifests"]]

    assert available() == [True, True]
    form = "%7B%22os%22:%22linux%22,%22architecture%22:%22{}%22%7D"
    other, mine = form.format("s390x"), form.format(HERE)
    status, answer = engine.request("DELETE", f"/images/{both}?platforms={mine}")
    assert (status, f"is what runs here for linux/{HERE}" in answer["message"]) == (409, True)
    status, answer = engine.request("DELETE", f"/images/{both}?platforms={other}")
    assert (status, answer) == (200, [{"Deleted": oci_image.digest_of(OTHER)}])
    assert available() == [False, True]
    status, answer = engine.request("DELETE", f"/images/{both}?platforms={other}")
    assert status == 404
    assert "does not provide the specified platform (linux/s390x)" in answer["message"]


@pytest.mark.parametrize("path", ["/build?", "/images/create?fromImage=busybox&"])
def test_a_platform_that_is_none_is_refused_before_anything_is_done(engine, path):
    status, answer = engine.request("POST", f"{path}platform=foo")
    assert status == 400, answer
    assert answer["message"] == (
        '"foo": unknown operating system or architecture: invalid argument'
    )


def test_a_push_without_a_tag_sends_them_all(engine, both, tmp_path):
    with support.docker_registry(tmp_path) as address:
        name = f"{address}/all"
        for tag in "12":
            engine.request("POST", f"/images/{both}/tag?repo={name}&tag={tag}")
        status, answer = engine.request("POST", f"/images/{name}/push")
        assert status == 200, answer
        with urllib.request.urlopen(f"http://{address}/v2/all/tags/list") as listed:
            assert sorted(json.load(listed)["tags"]) == ["1", "2"]
        for tag in "12":
            engine.request("DELETE", f"/images/{name}:{tag}")
        status, answer = engine.request("POST", f"/images/{name}/push")
        assert "does not exist locally" in str(answer)


def test_a_push_with_a_tag_has_one_tag(engine, both):
    """aiodocker gives it in the name, too."""
    name = "127.0.0.1:1/pushed"
    engine.request("POST", f"/images/{both}/tag?repo={name}&tag=1")
    _, answer = engine.request("POST", f"/images/{name}:wrong/push?tag=1")
    engine.request("DELETE", f"/images/{name}:1")
    assert "connection refused" in str(answer)


def test_changes_of_a_commit_may_be_lines_of_one_text(engine, both):
    container = engine.create("true", Image=both)
    lines = 'EXPOSE 80\nCMD ["py"]\nLABEL a=b \\\n c=d'
    query = urllib.parse.urlencode({"container": container, "changes": lines})
    status, made = engine.request("POST", f"/commit?{query}")
    assert status == 201, made
    config = engine.request("GET", f"/images/{made['Id']}/json")[1]["Config"]
    engine.request("DELETE", f"/containers/{container}")
    engine.request("DELETE", f"/images/{made['Id']}")
    assert config["Cmd"] == ["py"]
    assert config["Labels"] == {"a": "b", "c": "d"}
    assert list(config["ExposedPorts"]) == ["80/tcp"]


def test_an_image_of_sha512_digests(engine):
    """Its id is its config's sha256, as of every image; what it is named by stays as it is."""
    status, answer = engine.request("POST", "/images/load", strong.layout())
    assert status == 200, answer
    _, told = engine.request("GET", "/images/strong:1/json")
    assert told["Id"] == oci_image.digest_of(strong.CONFIG)
    assert told["Descriptor"]["digest"] == strong.sha512(strong.MANIFEST)
    _, saved = engine.request("GET", "/images/strong:1/get")
    with tarfile.open(fileobj=io.BytesIO(saved)) as archived:
        names = archived.getnames()
    assert {f"blobs/sha512/{strong.sha512(data)[7:]}" for data in strong.BLOBS} <= set(names)
    _, changes = engine.request("GET", "/sampan/images/strong:1/tree")
    assert changes["Id"] == told["Id"]
    status, gone = engine.request("DELETE", f"/images/{told['Id']}")
    assert status == 200, gone


def test_what_layers_waste(engine, both):
    _, told = engine.request("GET", f"/sampan/images/{both}/tree")
    assert [layer["Wasted"] for layer in told["Layers"]] == [0, 100]
    assert told["Worst"] == [{"Path": "/a", "Count": 2, "Bytes": 100}]
    _, changes = engine.request("GET", f"/sampan/images/{both}/diff")
    assert changes == [{"Path": "/a", "Kind": 0}]


@pytest.mark.parametrize("form", ["gzip", "zstd", "estargz"])
def test_a_conversion_keeps_the_files(engine, both, form):
    status, made = engine.request(
        "POST", f"/sampan/images/{both}/convert?to=converted:1&compression={form}"
    )
    assert status == 201, made
    _, changes = engine.request("GET", f"/sampan/images/converted:1/diff?from={both}")
    assert {c["Path"] for c in changes} <= {"/.no.prefetch.landmark", "/stargz.index.json"}
    engine.request("DELETE", "/images/converted:1")


def test_a_copy_through_an_archive_and_a_registry_keeps_every_digest(engine, both, tmp_path):
    with support.docker_registry(tmp_path) as address:
        name = f"{address}/both:1"
        path = f"/sampan/images/copy?from=store&source={both}&to=registry&target={name}"
        status, answer = engine.request("POST", path)
        assert status == 200
        assert b"error" not in (answer if isinstance(answer, bytes) else b"")
        status, data = engine.request(
            "POST", f"/sampan/images/copy?from=registry&source={name}&to=archive"
        )
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        index = json.load(tar.extractfile("index.json"))
    assert index["manifests"][0]["digest"] == oci_image.digest_of(INDEX)
    for blob in (*MY_BLOBS, *OTHER_BLOBS, INDEX):
        assert "blobs/" + oci_image.digest_of(blob).replace(":", "/") in names


def test_an_image_that_is_mounted_stays(engine, both):
    _, told = engine.request("POST", f"/sampan/images/{both}/mount")
    try:
        with open(f"{told['Path']}/a") as file:
            assert file.read() == "2" * 50
        with pytest.raises(OSError):
            os.mkdir(f"{told['Path']}/new")
        status, answer = engine.request("DELETE", f"/images/{both}")
        assert (status, "mounted" in answer["message"]) == (409, True)
    finally:
        status, _ = engine.request("POST", f"/sampan/images/{both}/umount")
    assert status == 200
    assert not os.path.exists(told["Path"])


def test_a_name_goes_and_the_image_stays(engine, both):
    _, told = engine.request("GET", f"/images/{both}/json")
    engine.request("POST", f"/sampan/images/{both}/untag")
    status, again = engine.request("GET", f"/images/{told['Id']}/json")
    assert (status, again["RepoTags"]) == (200, [])
    engine.request("DELETE", f"/images/{told['Id']}")
