"""Requirements of image-spec 1.1 on what is only carried: each document and blob stays as it is.

There and back through a registry of ours, and through an archive.
"""

import base64
import io
import json

import pytest

from sampan.image import archive, content
from sampan.kit import errors
from sampan.registry import errors as registry_errors
from sampan.registry.pull import pull, pull_all
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image
from tests.registry.faulty import Faulty
from tests.registry.server.conftest import Registry
from tests.registry.support import add_image, client, in_loop, manifest_of

EMPTY = oci_image.EMPTY_DESCRIPTOR
ODD = "application/vnd.example.odd"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running.address
    running.stop()


def blob(store: MemoryStore, media_type: str, data: bytes, **more) -> dict:
    store.add(data)
    return oci_image.descriptor(media_type, data, **more)


def manifest(store: MemoryStore, **members) -> str:
    document = {"schemaVersion": 2, "mediaType": oci_image.MANIFEST, **members}
    return store.add(json.dumps(document, indent=2).encode())


def index(store: MemoryStore, *entries: dict, **members) -> str:
    document = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": entries, **members}
    return store.add(json.dumps(document, indent=2).encode())


def entry(store: MemoryStore, digest: str, kind: str = oci_image.MANIFEST, **more) -> dict:
    return {"mediaType": kind, "digest": digest, "size": store.size(digest), **more}


def artifact(store: MemoryStore, **members) -> str:
    store.add(b"{}")
    layer = blob(store, ODD, b"\0\1\2 no tar")
    return manifest(store, config=dict(EMPTY), artifactType=ODD, layers=[layer], **members)


def docker_types(store: MemoryStore) -> str:
    document = manifest_of(store, add_image(store, b"docker"))
    document["mediaType"] = oci_image.DOCKER_MANIFEST
    document["config"]["mediaType"] = oci_image.DOCKER_CONFIG
    document["layers"][0]["mediaType"] = oci_image.DOCKER_LAYER
    return store.add(json.dumps(document).encode())


def nested(store: MemoryStore) -> str:
    inner = index(store, entry(store, add_image(store, b"inside")))
    return index(store, entry(store, inner, oci_image.INDEX))


CARRIED = {
    "manifest.md: a config of an unknown type is not parsed": lambda s: manifest(
        s, config=blob(s, ODD, b"no JSON"), layers=[]
    ),
    "manifest.md: artifactType beside the empty config": artifact,
    "manifest.md: no layers": lambda s: manifest(s, config=dict(EMPTY, digest=s.add(b"{}"))),
    "manifest.md: unknown layer types": lambda s: manifest(
        s, config=blob(s, oci_image.CONFIG, b"{}"), layers=[blob(s, ODD, b"x"), blob(s, ODD, b"y")]
    ),
    "manifest.md: the same layer twice": lambda s: manifest(
        s, config=blob(s, oci_image.CONFIG, b"{}"), layers=[blob(s, ODD, b"x")] * 2
    ),
    "manifest.md: annotations, and keys that nobody knows": lambda s: artifact(
        s, annotations={"é": "", "org.example": "1"}, unknown={"a": [None]}
    ),
    "manifest.md: a subject": lambda s: artifact(s, subject=entry(s, add_image(s, b"subject"))),
    "manifest.md: a subject that is missing": lambda s: artifact(
        s, subject={"mediaType": oci_image.MANIFEST, "digest": "sha256:" + "1" * 64, "size": 7}
    ),
    "image-index.md: a subject": lambda s: index(
        s, entry(s, add_image(s, b"x")), subject=entry(s, add_image(s, b"subject"))
    ),
    "image-index.md: none in it": index,
    "image-index.md: an index in an index": nested,
    "image-index.md: an artifact in an index": lambda s: index(
        s, entry(s, artifact(s), artifactType=ODD), artifactType=ODD
    ),
    "descriptor.md: data": lambda s: manifest(
        s, config={**blob(s, ODD, b"{}"), "data": base64.b64encode(b"{}").decode()}, layers=[]
    ),
    "descriptor.md: urls, annotations, and what is reserved": lambda s: manifest(
        s, config=blob(s, ODD, b"{}", urls=["https://x.test/a"], annotations={"a": "b"}, x=1)
    ),
    "media-types.md: Docker's twins": docker_types,
}


def reached(store: MemoryStore, digest: str) -> set[str]:
    document = json.loads(store.blobs[digest])
    found = {digest}
    for described in (document.get("config"), *(document.get("layers") or ())):
        found |= {described["digest"]} if described else set()
    for child in document.get("manifests") or ():
        found |= reached(store, child["digest"])
    return found


@pytest.mark.parametrize("case", CARRIED)
@in_loop
async def test_it_comes_back_as_it_was(case, registry, tmp_path) -> None:
    source, target = MemoryStore(), content.FileStore(str(tmp_path))
    digest = CARRIED[case](source)
    async with client(f"{registry}/carried:1") as there:
        await push(there, source, digest, "1")
        told = await pull_all(there, target)
    assert told["digest"] == digest
    assert set(target.walk()) == reached(source, digest)
    assert content.read(target, digest) == source.blobs[digest]
    written = io.BytesIO()
    archive.save(target, [archive.Saved(digest=digest)], written.write)
    again = content.MemoryStore()
    (back,) = archive.read_all(again, iter([written.getvalue()]))
    assert back.descriptor["digest"] == digest
    assert set(again.walk()) == reached(source, digest)


@in_loop
async def test_a_layer_that_may_not_be_distributed_is_pulled_but_not_pushed(tmp_path) -> None:
    """layer.md, "Non-distributable layers"."""
    source, taken = MemoryStore(), MemoryStore()
    document = manifest_of(source, add_image(source, b"mine", b"theirs"))
    mine, theirs = document["layers"]
    theirs["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    digest = source.add(json.dumps(document).encode())
    target = content.FileStore(str(tmp_path))
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        await pull(there, target)
    assert theirs["digest"] in target
    async with Faulty(taken) as server, client(f"{server.address}/x:1") as there:
        await push(there, source, digest, "1")
    assert mine["digest"] in taken
    assert theirs["digest"] not in taken


def changed(store: MemoryStore, **config) -> str:
    """An image whose config has other members."""
    document = manifest_of(store, add_image(store, b"layer"))
    told = json.loads(store.blobs[document["config"]["digest"]]) | config
    document["config"] |= blob(store, oci_image.CONFIG, json.dumps(told).encode())
    return store.add(json.dumps(document).encode())


NULLS = dict.fromkeys(("created", "author", "config", "history", "variant", "os.version"))
RUNNABLE = {
    "config.md: optional members may be null": NULLS,
    "config.md: unknown members": {"x": 1, "config": {"Unknown": [], "Memory": 1, "CpuShares": 2}},
    "config.md: a history of another length": {"history": [{"empty_layer": True}, {}, {}]},
}


@pytest.mark.parametrize("case", RUNNABLE)
@in_loop
async def test_a_config_that_is_taken(case) -> None:
    source, target = MemoryStore(), MemoryStore()
    digest = changed(source, **RUNNABLE[case])
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        pulled = await pull(there, target)
    assert pulled.config.items() >= RUNNABLE[case].items()
    assert set(target.blobs) == reached(source, digest)


def resized(store: MemoryStore, size) -> str:
    document = manifest_of(store, add_image(store, b"layer"))
    document["layers"][0]["size"] = size
    return store.add(json.dumps(document).encode())


REFUSED = {
    "config.md: a rootfs of an unknown type": lambda s: changed(
        s, rootfs={"type": "erofs", "diff_ids": ["sha256:" + "0" * 64]}
    ),
    "config.md: more diff_ids than layers": lambda s: changed(
        s, rootfs={"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 2}
    ),
    "descriptor.md: a negative size": lambda s: resized(s, -1),
    "descriptor.md: a size that is no number": lambda s: resized(s, "7"),
    "descriptor.md: another size": lambda s: resized(s, 7),
    "media-types.md: an index with layers": lambda s: index(s, layers=[]),
    "considerations.md: a name twice": lambda s: s.add(b'{"schemaVersion":2,"schemaVersion":2}'),
}


@pytest.mark.parametrize("case", REFUSED)
@in_loop
async def test_what_is_refused(case) -> None:
    source = MemoryStore()
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = REFUSED[case](source)
        with pytest.raises((errors.InvalidArgument, registry_errors.Unreachable)):
            await pull(there, MemoryStore())
