"""`/system/df` counts everything; what prune and rmi take is what they say."""

import json
import os

import pytest

from sampan.spec import oci_image
from tests.image import strong
from tests.image.archives import archive, member
from tests.registry.support import noise

pytestmark = pytest.mark.needs("mount")


def unnamed(data: bytes) -> tuple[str, bytes]:
    """An image of one file with these bytes: its id, and a layout that gives it no name."""
    layer = archive(member("file", data=data))
    config = oci_image.encode(
        {
            "os": "linux",
            "architecture": oci_image.host_platform().architecture,
            "rootfs": {"type": "layers", "diff_ids": [oci_image.digest_of(layer)]},
        }
    )
    manifest = oci_image.encode(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.MANIFEST,
            "config": oci_image.descriptor(oci_image.CONFIG, config),
            "layers": [oci_image.descriptor(oci_image.LAYER, layer)],
        }
    )
    top = {"manifests": [oci_image.descriptor(oci_image.MANIFEST, manifest)]}
    blobs = [
        member("blobs/" + oci_image.digest_of(each).replace(":", "/"), data=each)
        for each in (layer, config, manifest)
    ]
    books = [
        member("index.json", data=json.dumps(top).encode()),
        member("oci-layout", data=b'{"imageLayoutVersion":"1.0.0"}'),
    ]
    return oci_image.digest_of(config), archive(*books, *blobs)


def load(engine, layout):
    status, answer = engine.request("POST", "/images/load", layout)
    assert status == 200, answer


def df(engine, kind=""):
    status, told = engine.request("GET", f"/system/df?type={kind}" if kind else "/system/df")
    assert status == 200, told
    return told


@pytest.fixture
def calm(engine):
    """Nothing dangles, nothing is left to collect."""
    engine.request("POST", "/images/prune")
    engine.request("POST", "/build/prune")
    return engine


def test_prune_frees_what_it_says(calm):
    """Bytes as they were pulled, and the unpacked layer."""
    before = df(calm)["LayersSize"]
    image_id, layout = unnamed(noise(100_000))
    load(calm, layout)
    full = df(calm)["LayersSize"]
    (listed,) = [image for image in df(calm)["Images"] if image["Id"] == image_id]
    assert listed["SizeContent"] >= 100_000
    books = full - before - listed["Size"] - listed["SizeContent"]
    assert 0 <= books < 1000  # what was beside the image in its archive goes with the next garbage
    _, pruned = calm.request("POST", "/images/prune")
    assert {"Deleted": image_id} in pruned["ImagesDeleted"]
    assert pruned["SpaceReclaimed"] == full - before
    assert df(calm)["LayersSize"] == before


def test_a_mounted_image_is_not_pruned(calm):
    image_id, layout = unnamed(b"mounted")
    load(calm, layout)
    status, mounted = calm.request("POST", f"/sampan/images/{image_id}/mount")
    assert status in (200, 201), mounted
    _, pruned = calm.request("POST", "/images/prune")
    assert {"Deleted": image_id} not in (pruned["ImagesDeleted"] or [])
    calm.request("POST", f"/sampan/images/{image_id}/umount")
    _, pruned = calm.request("POST", "/images/prune")
    assert {"Deleted": image_id} in pruned["ImagesDeleted"]


def test_logs_are_counted_and_freed(engine):
    container = engine.run("sh", "-c", "head -c 30000 /dev/zero | tr '\\0' x; echo > /written")
    assert engine.wait(container) == 0
    (told,) = [c for c in df(engine)["Containers"] if c["Id"] == container]
    assert told["SizeLogs"] > 30_000
    logs, writable = told["SizeLogs"], told["SizeRw"]
    _, pruned = engine.request("POST", "/containers/prune")
    assert container in pruned["ContainersDeleted"]
    assert pruned["SpaceReclaimed"] >= logs + writable


def test_where_the_layers_are(engine):
    container = engine.create("true")
    _, told = engine.request("GET", f"/containers/{container}/json")
    driver = told["GraphDriver"]
    assert told["Driver"] == driver["Name"] == engine.request("GET", "/info")[1]["Driver"]
    assert os.path.isdir(driver["Data"].get("UpperDir") or driver["Data"]["Dir"])
    load(engine, strong.layout())
    _, image = engine.request("GET", "/images/strong:1/json")
    assert os.path.exists(image["GraphDriver"]["Data"]["UpperDir"])
    engine.request("DELETE", "/images/strong:1")
    engine.request("DELETE", f"/containers/{container}")


@pytest.fixture
def family(calm):
    """grandparent:1, its child without a name, and grandchild:1, made by commits."""
    load(calm, strong.layout("docker.io/library/grandparent:1"))
    ids = [calm.request("GET", "/images/grandparent:1/json")[1]["Id"]]
    for name in ("", "repo=grandchild&tag=1"):
        status, made = calm.request("POST", "/containers/create", {"Image": ids[-1], "Cmd": ["/a"]})
        assert status == 201, made
        status, child = calm.request("POST", f"/commit?container={made['Id']}&{name}")
        assert status == 201, child
        ids.append(child["Id"])
        calm.request("DELETE", f"/containers/{made['Id']}")
    yield ids
    for image_id in reversed(ids):
        calm.request("DELETE", f"/images/{image_id}?force=1")


def test_a_parent_goes_after_its_children(engine, family):
    grandparent, middle, grandchild = family
    assert engine.request("GET", f"/images/{middle}/json")[1]["Parent"] == grandparent
    for parent in (grandparent, middle):
        status, answer = engine.request("DELETE", f"/images/{parent}?force=1")
        assert status == 409
        assert "(cannot be forced) - image has dependent child images" in answer["message"]
    _, gone = engine.request("DELETE", "/images/grandparent:1")
    assert gone == [{"Untagged": "grandparent:1"}]
    _, pruned = engine.request("POST", "/images/prune")
    assert not pruned["ImagesDeleted"]  # neither is a leaf
    _, gone = engine.request("DELETE", f"/images/{grandchild}")
    assert [one["Deleted"] for one in gone if one.get("Deleted") in family] == family[::-1]


def test_noprune_keeps_the_parents(engine, family):
    grandparent, middle, grandchild = family
    _, gone = engine.request("DELETE", f"/images/{grandchild}?noprune=1")
    assert {"Deleted": grandchild} in gone
    assert {"Deleted": middle} not in gone
    assert engine.request("GET", f"/images/{middle}/json")[0] == 200
    _, gone = engine.request("DELETE", f"/images/{middle}")
    assert {"Deleted": middle} in gone
    assert {"Deleted": grandparent} not in gone  # it has a name
