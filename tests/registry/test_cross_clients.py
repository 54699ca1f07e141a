"""Other people's clients and ours, at other people's registry and at ours: one digest everywhere.

(`oras` is left out: what PyPI has of that name is a library, no program.)
"""

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile

import pytest

from sampan.image import content
from sampan.registry.pull import pull, pull_all
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image
from tests.image.archives import archive, member
from tests.registry.server.conftest import Registry
from tests.registry.support import (
    add_image,
    client,
    docker_registry,
    in_loop,
    manifest_of,
    noise,
)

NEEDS = {"ours": [], "docker": [pytest.mark.needs("docker-registry")]}


@pytest.fixture(
    params=[pytest.param(name, marks=marks) for name, marks in NEEDS.items()], scope="module"
)
def address(request, tmp_path_factory):
    """`127.0.0.1:PORT` of a registry."""
    place = tmp_path_factory.mktemp(request.param)
    if request.param == "docker":
        with docker_registry(place) as found:
            yield found
    else:
        running = Registry(place)
        yield running.address
        running.stop()


@pytest.fixture
def image() -> tuple[MemoryStore, str]:
    """An image of two layers that others can unpack."""
    store = MemoryStore()
    layers = [archive(member("a", data=noise(70_000))), archive(member("b", data=b"b"))]
    return store, add_image(store, *layers)


@pytest.fixture
def index(image) -> tuple[MemoryStore, str]:
    """Two platforms of it, as another tool wrote them: with spaces, in no order."""
    store, one = image
    other = add_image(store, archive(member("c", data=b"c")), architecture="s390x")
    entries = [
        {"size": store.size(digest), "platform": {"os": "linux", "architecture": architecture},
         "digest": digest, "mediaType": oci_image.MANIFEST}
        for digest, architecture in ((other, "s390x"), (one, "amd64"))
    ]  # fmt: skip
    document = {"manifests": entries, "schemaVersion": 2, "mediaType": oci_image.INDEX}
    return store, store.add(json.dumps(document, indent=3).encode())


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


async def from_here(name: str, store: MemoryStore, digest: str, tag: str) -> None:
    async with client(name) as there:
        await push(there, store, digest, tag)


async def to_here(name: str, place) -> tuple[str, set[str]]:
    """The digest behind a name, and all blobs that came with it."""
    target = content.FileStore(str(place))
    async with client(name) as there:
        await pull(there, target)
        told = await pull_all(there, target)
    return told["digest"], set(target.walk())


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("what", ["image", "index"])
def test_skopeo(address, what, request, tmp_path) -> None:
    """There by us, off by skopeo, back by skopeo, off by us: the same bytes, every platform."""
    store, digest = request.getfixturevalue(what)
    name, layout = f"{address}/skopeo-{what}", f"oci:{tmp_path}/layout:1"
    asyncio.run(from_here(f"{name}:ours", store, digest, "ours"))
    skopeo = ("skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests")
    run(*skopeo, "--src-tls-verify=false", f"docker://{name}:ours", layout)
    run(*skopeo, "--dest-tls-verify=false", layout, f"docker://{name}-back:theirs")
    came, blobs = asyncio.run(to_here(f"{name}-back:theirs", tmp_path / "store"))
    assert came == digest
    assert blobs == set(store.blobs)


class Storage:
    """podman or buildah with a storage of its own, whose path must be short."""

    def __init__(self, tool: str, place: str) -> None:
        policy = f"{place}/policy.json"
        with open(policy, "w") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._tool, self._place = tool, place
        self._options = [f"--root={place}/root", f"--runroot={place}/run", "--storage-driver=vfs"]
        self._policy = f"--signature-policy={policy}"

    def __call__(self, verb: str, *words: str) -> str:
        checked = verb in ("pull", "push")
        extra = [self._policy, "--tls-verify=false", "--quiet"] if checked else []
        settings = {"CONTAINERS_CONF": os.devnull, "XDG_RUNTIME_DIR": self._place}
        return run(self._tool, *self._options, verb, *extra, *words, **settings).strip()


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory() as found:
        yield found


@pytest.mark.parametrize(
    "tool", [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("podman", "buildah")]
)
def test_podman_and_buildah(tool, address, image, place, tmp_path) -> None:
    """They pull what we pushed; what they push (packed anew) we pull, by the digest they say."""
    store, digest = image
    name, said = f"{address}/{tool}", tmp_path / "digest"
    asyncio.run(from_here(f"{name}:ours", store, digest, "ours"))
    storage = Storage(tool, place)
    image_id = storage("pull", f"{name}@{digest}").removeprefix("sha256:")
    assert f"sha256:{image_id}" == manifest_of(store, digest)["config"]["digest"]
    storage("push", f"--digestfile={said}", image_id, f"docker://{name}-back:theirs")
    came, blobs = asyncio.run(to_here(f"{name}-back:theirs", tmp_path / "store"))
    assert came == said.read_text().strip()
    assert f"sha256:{image_id}" in blobs
    storage("rmi", "--all", "--force")


@contextlib.asynccontextmanager
async def cutting(address: str, cuts: list[int]):
    """A proxy that hangs up each time a connection has sent as many bytes as `cuts` says next."""
    host, port = address.split(":")

    async def flow(reader, writer, most: int | None) -> None:
        with contextlib.suppress(OSError):
            sent = 0
            while data := await reader.read(1 << 16):
                sent += len(data)
                writer.write(data)
                await writer.drain()
                if most is not None and cuts and sent > cuts[0]:
                    cuts.pop(0)
                    break
        writer.close()

    async def serve(reader, writer) -> None:
        upstream, down = await asyncio.open_connection(host, int(port))
        away = asyncio.create_task(flow(reader, down, 0))
        back = asyncio.create_task(flow(upstream, writer, None))
        await away
        writer.close()
        await back

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@in_loop
async def test_an_upload_goes_on_where_it_broke(address, tmp_path) -> None:
    store = MemoryStore()
    digest = add_image(store, noise(6_000_000))
    cuts, told = [2_000_000, 1_500_000], []
    async with cutting(address, cuts) as near, client(f"{near}/broken:1") as there:
        await push(there, store, digest, "1", on_event=lambda event: told.append(event.kind))
    assert not cuts
    assert told.count("retrying") >= 2
    came, blobs = await to_here(f"{address}/broken:1", tmp_path)
    assert came == digest
    assert blobs == set(store.blobs)
