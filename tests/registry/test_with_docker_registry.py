"""Pull and push against Debian's docker-registry."""

import asyncio

import pytest

from sampan.image import content
from sampan.kit import errors as kinds
from sampan.registry import errors
from sampan.registry.auth import Credentials
from sampan.registry.hosts import Config
from sampan.registry.pull import pull, pull_all
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image
from tests.registry.support import (
    add_image,
    add_index,
    client,
    docker_registry,
    free_port,
    in_loop,
    make_certificate,
    manifest_of,
    noise,
    raw_get,
)


@in_loop
async def test_what_is_pushed_is_pulled(registry: str, tmp_path) -> None:
    source, target = MemoryStore(), content.FileStore(str(tmp_path))
    digest = add_image(source, noise(3 << 20), b"second", b"third")
    seen: list[tuple[str, str]] = []
    events: list[str] = []

    async def on_layer(descriptor: dict, diff_id: str) -> None:
        assert descriptor["digest"] in target
        seen.append((descriptor["digest"], diff_id))

    async with client(f"{registry}/round:trip") as there:
        await push(there, source, digest, "trip")
        pulled = await pull(
            there, target, on_layer=on_layer, on_event=lambda event: events.append(event.kind)
        )
    assert pulled.target["digest"] == pulled.manifest["digest"] == digest
    assert [layer["digest"] for layer, _ in pulled.layers] == [layer for layer, _ in seen]
    assert [diff_id for _, diff_id in seen] == pulled.config["rootfs"]["diff_ids"]
    for blob, data in source.blobs.items():
        assert content.read(target, blob) == data
    assert events[0] == "source"
    assert events[-1] == "digest"
    assert events.count("complete") == events.count("transferred") == 3


@in_loop
async def test_the_second_time_nothing_is_transferred(registry: str) -> None:
    source, target = MemoryStore(), MemoryStore()
    digest = add_image(source, b"one", b"two")
    async with client(f"{registry}/again:1") as there:
        await push(there, source, digest, "1")
        pushed: list[str] = []
        await push(there, source, digest, "1", on_event=lambda e: pushed.append(e.kind))
        assert pushed == ["layer", "layer", "exists", "exists", "digest"]
        assert (await pull(there, target)).new
        pulled: list[str] = []
        again = await pull(there, target, on_event=lambda e: pulled.append(e.kind))
    assert not again.new
    assert pulled.count("exists") == 2
    assert not {"layer", "transferring"} & {*pulled}


@in_loop
async def test_blobs_are_mounted_from_another_repository(registry: str) -> None:
    source = MemoryStore()
    digest = add_image(source, noise(1 << 20, "mounted"))
    async with client(f"{registry}/mount/from:1") as there:
        await push(there, source, digest, "1")
    events = []
    async with client(f"{registry}/mount/to:1") as there:
        await push(
            there, source, digest, "1", mount_from=lambda d: ["mount/from"], on_event=events.append
        )
    mounted = [event for event in events if event.kind == "mounted"]
    assert [event.message for event in mounted] == ["mount/from"]
    # the config, too, could be mounted; what matters is that the image is whole
    async with client(f"{registry}/mount/to:1") as there:
        assert (await pull(there, MemoryStore())).manifest["digest"] == digest


@in_loop
async def test_one_platform_of_an_index_is_chosen(registry: str) -> None:
    source, target = MemoryStore(), MemoryStore()
    index = add_index(source, "amd64", "arm64", "riscv64")
    entries = {m["platform"]["architecture"]: m for m in manifest_of(source, index)["manifests"]}
    async with client(f"{registry}/platforms:1") as there:
        await push(there, source, index, "1")
        pulled = await pull(
            there, target, platform=oci_image.Platform(os="linux", architecture="arm64")
        )
        assert pulled.target["digest"] == index
        assert pulled.manifest["digest"] == entries["arm64"]["digest"]
        assert entries["amd64"]["digest"] not in target
        with pytest.raises(oci_image.NoMatchingPlatform, match="linux/s390x"):
            await pull(there, target, platform=oci_image.Platform(os="linux", architecture="s390x"))
        await pull_all(there, target)
    assert set(source.blobs) <= set(target.blobs)


@in_loop
async def test_tags_are_listed_and_deleted(registry: str) -> None:
    source = MemoryStore()
    async with client(f"{registry}/tags") as there:
        for tag in ("a", "b", "c"):
            digest = add_image(source, tag.encode())
            await push(there, source, digest, tag)
        assert sorted(await there.tags()) == ["a", "b", "c"]
        await there.delete(digest)
        with pytest.raises(errors.ManifestUnknown):
            await there.resolve("c")


@in_loop
async def test_two_pulls_at_once_share_the_download(registry: str, tmp_path) -> None:
    source, target = MemoryStore(), content.FileStore(str(tmp_path))
    digest = add_image(source, noise(8 << 20, "shared"))
    transferred = []

    def listen(event) -> None:
        if event.kind == "verifying":
            transferred.append(event.digest)

    async with client(f"{registry}/twice:1") as one, client(f"{registry}/twice:1") as two:
        await push(one, source, digest, "1")
        await two.ping()  # so that neither has a head start
        await asyncio.gather(pull(one, target, on_event=listen), pull(two, target, on_event=listen))
    assert len(transferred) == len(set(transferred)) == 2  # config and layer, once each


@in_loop
async def test_unknown_names_are_told_in_a_sentence(registry: str) -> None:
    async with client(f"{registry}/nobody/knows:it") as there:
        with pytest.raises(errors.ManifestUnknown) as caught:
            await pull(there, MemoryStore())
        assert str(caught.value) == (
            f"manifest for {registry}/nobody/knows:it not found: manifest unknown"
        )
        assert isinstance(caught.value, kinds.NotFound)
        with pytest.raises(errors.RepositoryUnknown):
            await there.tags()
        missing = {"digest": "sha256:" + "0" * 64, "size": 3}
        with pytest.raises(errors.BlobUnknown):
            async with there.fetch(missing):
                pass


@in_loop
async def test_an_image_whose_blob_is_missing_here_is_not_pushed(registry: str) -> None:
    source = MemoryStore()
    digest = add_image(source, b"gone soon")
    layer = manifest_of(source, digest)["layers"][0]["digest"]
    del source.blobs[layer]
    async with client(f"{registry}/incomplete:1") as there:
        with pytest.raises(kinds.NotFound, match=layer):
            await push(there, source, digest, "1")
        with pytest.raises(errors.ManifestUnknown):
            await there.resolve()


# bcrypt of "secret"
SECRET = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"


def test_basic_authentication(tmp_path) -> None:
    (tmp_path / "htpasswd").write_text(f"ada:{SECRET}\n")
    with docker_registry(tmp_path, htpasswd=str(tmp_path / "htpasswd")) as address:
        assert raw_get(f"http://{address}/v2/") == 401
        asyncio.run(_log_in(address))


async def _log_in(address: str) -> None:
    store = MemoryStore()
    digest = add_image(store, b"private")
    right = Credentials(username="ada", password="secret")
    async with client(f"{address}/private:1", credentials=right) as there:
        await there.ping()
        await push(there, store, digest, "1")
        assert (await pull(there, MemoryStore())).manifest["digest"] == digest
    wrong = Credentials(username="ada", password="guess")
    async with client(f"{address}/private:1", credentials=wrong) as there:
        with pytest.raises(errors.Unauthorized):
            await there.ping()
        with pytest.raises(errors.Unauthorized):
            await pull(there, MemoryStore())
    async with client(f"{address}/private:1") as there:
        with pytest.raises(errors.AccessDenied, match=r"pull access denied for .*/private, "):
            await pull(there, MemoryStore())
        with pytest.raises(errors.AccessDenied, match="push access denied"):
            await push(there, store, digest, "1")


def test_tls_that_is_not_trusted(tmp_path) -> None:
    """A name that is not loopback's gets no leniency, and the sentence names the way out."""
    certificate = make_certificate(tmp_path)
    with docker_registry(tmp_path, tls=certificate) as address:
        port = address.rpartition(":")[2]
        asyncio.run(_tls(address, port, certificate[0], tmp_path))


async def _tls(address: str, port: str, certificate: str, directory) -> None:
    store = MemoryStore()
    digest = add_image(store, b"over tls")
    async with client(f"{address}/tls:1") as there:  # loopback: any certificate will do
        await push(there, store, digest, "1")
    config = Config(directories=(str(directory / "certs.d"),))
    strict = directory / "certs.d" / f"strict.test:{port}"
    strict.mkdir(parents=True)
    (strict / "hosts.toml").write_text(f'server = "https://{address}"')
    async with client(f"strict.test:{port}/tls:1", hosts=config) as there:
        with pytest.raises(errors.NotTrusted, match=r"hosts\.toml"):
            await pull(there, MemoryStore())
    (strict / "hosts.toml").write_text(f'server = "https://{address}"\nca = "{certificate}"')
    async with client(f"strict.test:{port}/tls:1", hosts=config) as there:
        assert (await pull(there, MemoryStore())).manifest["digest"] == digest
    (strict / "hosts.toml").write_text(f'server = "https://{address}"\nskip_verify = true')
    async with client(f"strict.test:{port}/tls:1", hosts=config) as there:
        assert (await pull(there, MemoryStore())).manifest["digest"] == digest


@in_loop
async def test_plain_http_where_tls_is_asked_for(registry: str, tmp_path) -> None:
    directory = tmp_path / "strict.test"
    directory.mkdir()
    (directory / "hosts.toml").write_text(f'server = "https://{registry}"')
    config = Config(directories=(str(tmp_path),))
    async with client("strict.test/x:1", hosts=config) as there:
        with pytest.raises(errors.SpeaksPlainHttp, match='server = "http://'):
            await pull(there, MemoryStore())


@in_loop
async def test_nobody_listens() -> None:
    address = f"127.0.0.1:{free_port()}"
    async with client(f"{address}/x:1") as there:
        with pytest.raises(errors.Unreachable, match=f"{address}: connection refused"):
            await pull(there, MemoryStore())


@in_loop
async def test_no_such_host() -> None:
    async with client("registry.invalid/x:1") as there:
        with pytest.raises(errors.Unreachable, match=r"registry\.invalid: no such host"):
            await pull(there, MemoryStore())


@in_loop
async def test_mirrors_come_first_and_the_registry_last(registry: str, tmp_path) -> None:
    store = MemoryStore()
    digest = add_image(store, b"mirrored")
    async with client(f"{registry}/library/mirrored:1") as there:
        await push(there, store, digest, "1")
    dead = f"127.0.0.1:{free_port()}"
    (tmp_path / "docker.io").mkdir()
    (tmp_path / "docker.io" / "hosts.toml").write_text(
        f"""server = "http://{dead}"
[host."http://{dead}"]
  capabilities = ["pull", "resolve"]
[host."http://{registry}"]
  capabilities = ["pull", "resolve"]
"""
    )
    async with client("mirrored:1", hosts=Config(directories=(str(tmp_path),))) as there:
        assert (await pull(there, MemoryStore())).manifest["digest"] == digest
        with pytest.raises(errors.Unreachable):  # only the registry itself takes pushes
            await push(there, store, digest, "1")
