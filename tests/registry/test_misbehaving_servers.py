"""What a pull or push makes of servers that break, lie, refuse and redirect."""

import pytest

from sampan.image import content
from sampan.kit import errors as kinds
from sampan.registry import errors
from sampan.registry.auth import BadAnswer, Credentials
from sampan.registry.credentials import Found
from sampan.registry.events import Event
from sampan.registry.hosts import Config
from sampan.registry.pull import pull
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from sampan.spec import oci_image
from tests.registry.faulty import Faulty
from tests.registry.support import add_image, client, image, in_loop, manifest_of, noise


@in_loop
async def test_a_wrong_digest_is_told_and_nothing_is_kept(tmp_path) -> None:
    source, digest, (layer,) = image(noise(100_000))
    target = content.FileStore(str(tmp_path))
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        server.wrong[layer] = b"!" + source.blobs[layer][1:]
        with pytest.raises(errors.WrongDigest) as caught:
            await pull(there, target)
        assert caught.value.expected == layer
        assert f"wrong digest from {server.address}: {layer} was asked for" in str(caught.value)
        assert layer not in target
        parts = [part.name for part in (tmp_path / "content" / "ingest").iterdir()]
        assert not [part for part in parts if layer.partition(":")[2] in part]
        server.wrong.clear()
        await pull(there, target)
    assert layer in target


@pytest.mark.parametrize("change", [1, -1])
@in_loop
async def test_a_wrong_size_is_told(change: int) -> None:
    source, right, (layer,) = image(b"short")
    target = MemoryStore()
    document = manifest_of(source, right)
    document["layers"][0]["size"] += change
    digest = source.add(oci_image.encode(document))
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        with pytest.raises((errors.WrongSize, errors.Unreachable)):
            await pull(there, target)
    assert layer not in target


@in_loop
async def test_a_manifest_that_is_not_what_its_digest_says() -> None:
    source, digest, _ = image(b"x")
    other = source.blobs[add_image(source, b"y")]
    async with Faulty(source) as server:
        server.names["1"] = digest
        server.wrong[digest] = other
        for name in ("x:1", f"x@{digest}"):
            async with client(f"{server.address}/{name}") as there:
                with pytest.raises(errors.WrongDigest):
                    await pull(there, MemoryStore())


@in_loop
async def test_a_broken_connection_is_gone_on_with() -> None:
    source, digest, (layer,) = image(noise(3 << 20))
    events: list[Event] = []
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        target = MemoryStore()  # it has the config, so that the cut hits the layer
        config = manifest_of(source, digest)["config"]["digest"]
        target.blobs[config] = source.blobs[config]
        server.cut = 1_500_000
        await pull(there, target, on_event=events.append)
        asked = server.seen("GET", layer)
    assert target.blobs[layer] == source.blobs[layer]
    assert len(asked) == 2
    assert 0 < int(asked[1].headers["Range"][6:-1]) <= 1_500_000
    assert asked[1].headers["If-Range"] == '"one"'
    assert [event.digest for event in events if event.kind == "retrying"] == [layer]


@pytest.mark.parametrize("ranges", [True, False])
@in_loop
async def test_a_pull_goes_on_where_an_earlier_one_ended(ranges: bool, tmp_path) -> None:
    """What a crash leaves is a named ingest; a server without ranges sends all again."""
    source, digest, (layer,) = image(noise(3 << 20))
    target = content.FileStore(str(tmp_path))
    with target.write(f"pull-{layer}") as ingest:
        ingest.write(source.blobs[layer][:1_000_000])
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.ranges = digest, ranges
        await pull(there, target)
        (asked,) = server.seen("GET", layer)
        assert asked.headers["Range"] == "bytes=1000000-"
    assert content.read(target, layer) == source.blobs[layer]


@in_loop
async def test_a_part_of_other_bytes_is_thrown_away(tmp_path) -> None:
    source, digest, (layer,) = image(noise(300_000))
    target = content.FileStore(str(tmp_path))
    with target.write(f"pull-{layer}") as ingest:
        ingest.write(b"never of this layer")
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        await pull(there, target)
    assert content.read(target, layer) == source.blobs[layer]


@in_loop
async def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    source, digest, _ = image(b"x")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with Faulty(source) as server, client(f"{server.address}/x:1", pause=pause) as there:
        server.names["1"] = digest
        server.refusals = [(429, {"Retry-After": "7"}), (503, {}), (503, {})]
        told: list[str] = []
        await pull(
            there, MemoryStore(), on_event=lambda e: told.append(e.message) if e.message else None
        )
        asked, *own = pauses
        assert asked == 7.0  # as it was asked for; the others are our own, spread by chance
        assert len(own) == 2
        assert 0.25 <= own[0] <= 0.5 <= own[1] <= 1.0
        assert "too many requests" in told[0]
        server.refusals = [(429, {"Retry-After": "3600"})] * 2
        with pytest.raises(errors.TooManyRequests, match="try again in 3600 s"):
            await pull(there, MemoryStore())
        server.refusals = [(500, {})] * 20
        with pytest.raises(errors.ServerFailed, match=f"{server.address} failed with HTTP 500"):
            await there.resolve()


@in_loop
async def test_credentials_do_not_follow_a_redirect() -> None:
    source, digest, (layer,) = image(b"elsewhere")
    credentials = Credentials(username="ada", password="secret")
    async with (
        Faulty(source) as elsewhere,
        Faulty(source) as server,
        client(f"{server.address}/x:1", credentials=credentials) as there,
    ):
        server.names["1"] = digest
        server.challenge, server.token = 'Basic realm="x"', "Basic YWRhOnNlY3JldA=="
        server.redirect = f"http://{elsewhere.address}"
        pulled = await pull(there, MemoryStore())
        assert pulled.manifest["digest"] == digest
        assert server.seen("GET", layer)[-1].headers["Authorization"] == server.token
        (followed,) = elsewhere.seen("GET", layer)
        assert "Authorization" not in followed.headers


@in_loop
async def test_a_token_is_fetched_once_for_what_is_needed() -> None:
    source, digest, _ = image(b"one", b"two", b"three")
    credentials = Credentials(username="ada", password="secret")
    async with (
        Faulty(source) as server,
        client(f"{server.address}/x:1", credentials=credentials) as there,
    ):
        server.names["1"] = digest
        server.token = "Bearer good"
        server.challenge = (
            f'Bearer realm="http://{server.address}/token",service="reg",scope="repository:x:pull"'
        )
        await pull(there, MemoryStore())
        (asked,) = server.tokens_asked
        assert asked.query.getall("scope") == ["repository:x:pull"]
        assert asked.query["service"] == "reg"
        assert asked.headers["Authorization"].startswith("Basic ")


@in_loop
async def test_an_identity_token_is_exchanged() -> None:
    source, digest, _ = image(b"one")
    credentials = Credentials(identity_token="refresh")
    async with (
        Faulty(source) as server,
        client(f"{server.address}/x:1", credentials=credentials) as there,
    ):
        server.names["1"], server.token = digest, "Bearer good"
        server.challenge = f'Bearer realm="http://{server.address}/token",service="reg"'
        server.token_answer = {"access_token": "good"}
        await pull(there, MemoryStore())
        assert server.tokens_asked[0].method == "POST"
        assert server.token_forms[0]["grant_type"] == "refresh_token"
        assert server.token_forms[0]["refresh_token"] == "refresh"


@in_loop
async def test_refused_credentials_and_strange_token_servers() -> None:
    source, digest, _ = image(b"one")
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.token = digest, "Bearer other"
        server.challenge = f'Bearer realm="http://{server.address}/token",service="reg"'
        with pytest.raises(errors.AccessDenied, match="who are you"):
            await pull(there, MemoryStore())
        server.token_answer = {"nothing": 1}
        async with client(f"{server.address}/x:1") as again:
            with pytest.raises(BadAnswer, match="neither token nor access_token"):
                await pull(again, MemoryStore())
        server.token_answer = {"error": 1}
        async with client(f"{server.address}/x:1") as again:
            with pytest.raises(errors.Unauthorized, match="incorrect username or password"):
                await again.ping()


@in_loop
async def test_a_mirror_that_lies_is_passed_over(tmp_path) -> None:
    source, digest, (layer,) = image(noise(200_000))
    async with Faulty(source) as mirror, Faulty(source) as upstream:
        mirror.names["1"] = upstream.names["1"] = digest
        mirror.wrong[layer] = bytes(len(source.blobs[layer]))
        (tmp_path / "reg.test").mkdir()
        (tmp_path / "reg.test" / "hosts.toml").write_text(
            f'server = "http://{upstream.address}"\n[host."http://{mirror.address}"]\n'
        )
        told: list[str] = []
        async with client("reg.test/x:1", hosts=Config(directories=(str(tmp_path),))) as there:
            pulled = await pull(there, MemoryStore(), on_event=lambda e: told.append(e.kind))
        assert pulled.manifest["digest"] == digest
        assert mirror.seen("GET", "/manifests/")[0].query["ns"] == "reg.test"
        assert "ns" not in upstream.requests[-1].query
        assert "warning" in told


@in_loop
async def test_a_mirror_gets_its_own_credentials_and_the_registry_its_own(tmp_path) -> None:
    source, digest, _ = image(b"x")
    asked: list[str] = []

    def of_mirror(host: str) -> Found:
        asked.append(host)
        return Found(credentials=Credentials(username="mirror", password="m"), warnings=("odd",))

    async with Faulty(source) as mirror, Faulty(source) as upstream:
        mirror.names["1"] = upstream.names["1"] = digest
        mirror.challenge = upstream.challenge = 'Basic realm="x"'
        mirror.token, upstream.token = "Basic bWlycm9yOm0=", "Basic YWRhOnNlY3JldA=="
        config = Config(directories=(), insecure=("reg.test",))
        (tmp_path / "reg.test").mkdir()
        (tmp_path / "reg.test" / "hosts.toml").write_text(
            f'server = "http://{upstream.address}"\n[host."http://{mirror.address}"]\n'
        )
        config = config.replace(directories=(str(tmp_path),))
        own = Credentials(username="ada", password="secret")
        told: list[str] = []
        async with client(
            "reg.test/x:1", hosts=config, credentials=own, of_mirror=of_mirror
        ) as there:
            await pull(there, MemoryStore(), on_event=lambda e: told.append(e.message))
            assert not upstream.requests
            mirror.token = "Basic of-somebody-else"
            await there.resolve()
    assert asked == [mirror.address]
    assert "odd" in told
    assert mirror.seen("GET", "/blobs/")
    sent = {request.headers.get("Authorization") for request in mirror.requests}
    assert sent == {None, "Basic bWlycm9yOm0="}
    assert upstream.requests[-1].headers["Authorization"] == upstream.token


@in_loop
async def test_images_that_cannot_be_used_are_refused_in_a_sentence() -> None:
    source = MemoryStore()
    cases = [
        ({"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+json"},
         errors.SchemaOne, "old schema 1"),
        ({"schemaVersion": 2, "layers": [],
          "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json",
                     "digest": "sha256:" + "0" * 64, "size": 1}},
         errors.NotAnImage, "helm"),
        ({"schemaVersion": 2, "config": {"mediaType": "", "digest": "../../x", "size": 1}},
         errors.BadDocument, "is no digest"),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', kinds.InvalidArgument, "stands in it twice"),
        (b'{"schemaVersion": 2', kinds.InvalidArgument, "x:1 is no JSON"),
        ({"mediaType": oci_image.INDEX, "manifests": [], "layers": []},
         kinds.InvalidArgument, "as only manifests have"),
    ]  # fmt: skip
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        for document, kind, words in cases:
            data = document if isinstance(document, bytes) else oci_image.encode(document)
            server.names["1"] = source.add(data)
            with pytest.raises(kind, match=words):
                await pull(there, MemoryStore())


@in_loop
async def test_a_layer_is_handed_on_before_the_ones_above_are_here() -> None:
    """`on_layer` runs while other layers still come: the upper one is held back by it."""
    source, digest, (below, above) = image(b"below", b"above")
    order: list[str] = []
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        target = MemoryStore()
        held = source.blobs.pop(above)

        async def on_layer(descriptor: dict, diff_id: str) -> None:
            order.append(descriptor["digest"])

        with pytest.raises(errors.BlobUnknown):
            await pull(there, target, on_layer=on_layer)
        source.blobs[above] = held
        order.clear()
        await pull(there, target, on_layer=on_layer)
    assert order == [below, above]


@in_loop
async def test_a_failing_callback_stops_the_pull() -> None:
    source, digest, _ = image(b"below", noise(1 << 20))
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest

        async def on_layer(descriptor: dict, diff_id: str) -> None:
            raise kinds.Unavailable("no space left on device")

        with pytest.raises(kinds.Unavailable, match="no space left"):
            await pull(there, MemoryStore(), on_layer=on_layer)


@in_loop
async def test_a_registrys_warnings_are_told_once() -> None:
    source, digest, _ = image(b"one", b"two")
    pulled: list[Event] = []
    pushed: list[Event] = []
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        server.warnings = ['299 - "a \\"quota\\" is near"', '199 - "no"', '299 me "no"', "what"]
        await pull(there, MemoryStore(), on_event=pulled.append)
    async with Faulty(MemoryStore()) as server, client(f"{server.address}/x:1") as there:
        server.warnings = ['299 - "read only soon"']
        server.refusals = [(503, {})]
        await push(there, source, digest, "1", on_event=pushed.append)
    (warned,) = [event.message for event in pulled if event.kind == "warning"]
    assert warned.endswith(': a "quota" is near')
    assert len([event for event in pushed if event.kind == "warning"]) == 1
    assert len([event for event in pushed if event.kind == "retrying"]) == 1


@in_loop
async def test_a_range_of_a_blob_is_just_that() -> None:
    source, _, (layer,) = image(noise(50_000))
    data = source.blobs[layer]
    described = {"digest": layer, "size": len(data)}
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        assert await there.read_range(described, 0, 10) == data[:10]
        assert await there.read_range(described, 20_000, 1000) == data[20_000:21_000]
        with pytest.raises(errors.Unreachable, match="100 of 101 bytes"):
            await there.read_range(described, len(data) - 100, 101)
        server.ranges = False
        with pytest.raises(kinds.Unsupported, match=f"{server.address} does not send parts"):
            await there.read_range(described, 0, 10)
