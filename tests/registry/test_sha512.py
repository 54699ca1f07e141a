"""Push and pull of an image whose every digest is a sha512, with a registry of ours."""

import pytest

from sampan.image import content
from sampan.kit import errors as kinds
from sampan.registry.pull import pull, pull_all
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image
from tests.image import strong as image
from tests.registry.faulty import Faulty
from tests.registry.server.conftest import Registry
from tests.registry.support import add_image, client, in_loop

DIGEST = image.sha512(image.MANIFEST)


@pytest.fixture
def registry(tmp_path):
    running = Registry(tmp_path / "registry")
    yield running
    running.stop()


@in_loop
async def test_there_and_back(registry, tmp_path) -> None:
    source, target = image.store(tmp_path / "one"), content.FileStore(str(tmp_path / "two"))
    async with client(f"{registry.address}/x:1") as there:
        pushed = await push(there, source, DIGEST, "1")
        assert pushed["digest"] == DIGEST
        assert await there.has_manifest(DIGEST)
        assert (await there.resolve("1")).data == image.MANIFEST
    async with client(f"{registry.address}/x@{DIGEST}") as there:
        pulled = await pull(there, target)
        assert await pull_all(there, target) == pulled.target
    assert pulled.manifest == image.described(oci_image.MANIFEST, image.MANIFEST)
    assert set(target.walk()) == {image.sha512(data) for data in image.BLOBS}


@in_loop
async def test_an_index_of_sha512_by_its_tag(registry, tmp_path) -> None:
    source, target = image.store(tmp_path / "one"), content.FileStore(str(tmp_path / "two"))
    index = oci_image.encode(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.INDEX,
            "manifests": [image.described(oci_image.MANIFEST, image.MANIFEST)],
        }
    )
    with source.write() as ingest:
        ingest.write(index)
        ingest.commit(image.sha512(index))
    async with client(f"{registry.address}/x:1") as there:
        await push(there, source, image.sha512(index), "1")
        pulled = await pull(there, target)
    assert pulled.target["digest"] == oci_image.digest_of(index)  # a tag tells its sha256
    assert pulled.manifest["digest"] == DIGEST


@in_loop
async def test_a_digest_that_nobody_can_check_is_refused() -> None:
    source, digest = MemoryStore(), f"sha384:{'0' * 96}"
    async with Faulty(source) as server, client(f"{server.address}/x@{digest}") as there:
        server.names[digest] = add_image(source, b"x")
        with pytest.raises(kinds.Unsupported, match="sha384 cannot be checked"):
            await there.resolve()
