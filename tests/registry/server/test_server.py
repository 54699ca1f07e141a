"""The distribution specification, asked of our registry over HTTP."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from sampan.registry.server.index import Index
from sampan.registry.server.storage import FileStorage

from .conftest import INDEX, MANIFEST, PATIENCE, Registry, digest
from .storage_contract import StorageDriverContract


class TestFileStorage(StorageDriverContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> FileStorage:
        return FileStorage(str(tmp_path))


# ---- blobs


def test_a_blob_in_chunks_survives_a_restart_in_the_middle(registry: Registry) -> None:
    data = random.Random(1).randbytes(300_000)
    location = registry("POST", "/v2/a/b/blobs/uploads/").headers["Location"]
    first = registry("PATCH", location, data[:100_000], Content_Range="0-99999")
    assert (first.status, first.headers["Range"]) == (202, "0-99999")
    registry.stop(signal.SIGKILL)
    registry.start()
    status = registry("GET", location)
    assert (status.status, status.headers["Range"]) == (204, "0-99999")
    assert registry("PATCH", location, data[100_000:], Content_Range="100000-299999").status == 202
    done = registry("PUT", f"{location}?digest={digest(data)}")
    assert (done.status, done.headers["Docker-Content-Digest"]) == (201, digest(data))
    assert registry("GET", done.headers["Location"]).body == data
    assert registry("GET", location).status == 404


def test_a_chunk_out_of_order_changes_nothing(registry: Registry) -> None:
    location = registry("POST", "/v2/a/blobs/uploads/").headers["Location"]
    assert registry("PATCH", location, b"12345", Content_Range="0-4").status == 202
    for content_range in ("6-10", "0-4", "3-7"):
        late = registry("PATCH", location, b"67890", Content_Range=content_range)
        assert (late.status, late.code, late.headers["Range"]) == (
            416,
            "BLOB_UPLOAD_INVALID",
            "0-4",
        )
    assert registry("PUT", f"{location}?digest={digest(b'12345')}").status == 201


def test_wrong_digests_are_refused_and_nothing_is_kept(registry: Registry) -> None:
    wrong = digest(b"other")
    answer = registry("POST", f"/v2/a/blobs/uploads/?digest={wrong}", b"data")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    for name in ("sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "nonsense"):
        assert registry("GET", f"/v2/a/blobs/{name}").code == "DIGEST_INVALID"
    assert registry("GET", f"/v2/a/blobs/{wrong}").code == "BLOB_UNKNOWN"
    assert list((registry.root / "blobs").rglob("*")) == []


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=500-1499", 206, (500, 1500)),
        ("bytes=500-", 206, (500, 3000)),
        ("bytes=-500", 206, (2500, 3000)),
        ("bytes=2000-5000", 206, (2000, 3000)),
        ("bytes=500-0", 416, (0, 0)),
        ("bytes=5000-10000", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
        ("lines=1-2", 200, (0, 3000)),
    ],
)
def test_ranges(registry: Registry, asked: str, status: int, expected: tuple[int, int]) -> None:
    data = random.Random(2).randbytes(3000)
    name = registry.push_blob("a", data)
    answer = registry("GET", f"/v2/a/blobs/{name}", Range=asked)
    first, end = expected
    assert (answer.status, answer.body) == (status, data[first:end])
    if status == 206:
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/3000"


def test_a_connection_goes_on_after_a_blob(registry: Registry) -> None:
    import http.client

    name = registry.push_blob("a", b"x" * 100_000)
    connection = http.client.HTTPConnection(registry.address, timeout=PATIENCE)
    for _ in range(3):
        connection.request("GET", f"/v2/a/blobs/{name}")
        response = connection.getresponse()
        assert response.read() == b"x" * 100_000
        assert response.getheader("Connection") != "close"
    connection.request("HEAD", f"/v2/a/blobs/{name}")
    assert connection.getresponse().getheader("Content-Length") == "100000"
    connection.close()


def test_a_blob_is_seen_only_where_it_was_pushed_or_mounted(registry: Registry) -> None:
    name = registry.push_blob("one", b"shared")
    assert registry("HEAD", f"/v2/two/blobs/{name}").status == 404
    mounted = registry("POST", f"/v2/two/blobs/uploads/?mount={name}&from=one")
    assert (mounted.status, mounted.headers["Location"]) == (201, f"/v2/two/blobs/{name}")
    assert registry("GET", f"/v2/two/blobs/{name}").body == b"shared"
    other = registry("POST", f"/v2/two/blobs/uploads/?mount={digest(b'none')}&from=one")
    assert other.status == 202
    assert registry("DELETE", f"/v2/one/blobs/{name}").status == 202
    assert registry("GET", f"/v2/one/blobs/{name}").status == 404
    assert registry("GET", f"/v2/two/blobs/{name}").status == 200


# ---- manifests


def test_manifests_are_kept_byte_for_byte(registry: Registry) -> None:
    document = registry.image("a", b"layer")
    data = json.dumps(document, indent=3).encode() + b"\n\n"
    put = registry("PUT", "/v2/a/manifests/v1", data, Content_Type=MANIFEST)
    assert (put.status, put.headers["Docker-Content-Digest"]) == (201, digest(data))
    for reference in ("v1", digest(data)):
        got = registry("GET", f"/v2/a/manifests/{reference}")
        assert (got.body, got.headers["Content-Type"]) == (data, MANIFEST)
    assert registry("DELETE", "/v2/a/manifests/v1").status == 202
    assert registry("GET", "/v2/a/manifests/v1").code == "MANIFEST_UNKNOWN"
    assert registry("GET", f"/v2/a/manifests/{digest(data)}").status == 200
    assert registry("DELETE", f"/v2/a/manifests/{digest(data)}").status == 202
    assert registry("GET", f"/v2/a/manifests/{digest(data)}").status == 404


@pytest.mark.parametrize(
    ("data", "kind", "status", "code"),
    [
        (b"{", MANIFEST, 400, "MANIFEST_INVALID"),
        (b"[]", MANIFEST, 400, "MANIFEST_INVALID"),
        (b'{"mediaType":"x/y"}', MANIFEST, 400, "MANIFEST_INVALID"),
        (b'{"layers":[{}]}', MANIFEST, 400, "MANIFEST_INVALID"),
        (b'{"layers":[{"digest":"sha256:1"}]}', MANIFEST, 400, "MANIFEST_INVALID"),
        (b'{"layers":[{"digest":"sha256:' + b"0" * 64 + b'"}]}', MANIFEST, 404,
         "MANIFEST_BLOB_UNKNOWN"),
        (b'{"a":"' + b"x" * (17 << 20) + b'"}', MANIFEST, 413, "SIZE_INVALID"),
    ],
)  # fmt: skip
def test_a_manifest_that_cannot_be(
    registry: Registry, data: bytes, kind: str, status: int, code: str
) -> None:
    answer = registry("PUT", "/v2/a/manifests/v1", data, Content_Type=kind)
    assert (answer.status, answer.code) == (status, code)
    assert registry("GET", "/v2/a/manifests/v1").status == 404


def test_names_and_references_follow_the_grammar(registry: Registry) -> None:
    for name in ("Upper", "a//b", "a/-b", "a..b", "x" * 256):
        answer = registry("POST", f"/v2/{name}/blobs/uploads/")
        assert (answer.status, answer.code) == (400, "NAME_INVALID"), name
    assert registry("PUT", "/v2/a/manifests/.bad", b"{}", Content_Type=MANIFEST).status == 400
    assert registry("GET", "/v2/nobody/tags/list").code == "NAME_UNKNOWN"
    assert registry("PATCH", "/v2/a/tags/list").status == 405


def test_tags_are_listed_in_order_and_in_pages(registry: Registry) -> None:
    document = registry.image("a")
    for tag in ("b", "A", "c", "10", "9"):
        assert registry.push_manifest("a", tag, document).status == 201
    everything = ["10", "9", "A", "b", "c"]
    assert json.loads(registry("GET", "/v2/a/tags/list").body)["tags"] == everything
    seen, path = [], "/v2/a/tags/list?n=2"
    while path:
        page = registry("GET", path)
        seen += json.loads(page.body)["tags"]
        path = page.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert seen == everything
    nothing = registry("GET", "/v2/a/tags/list?n=0")
    assert (json.loads(nothing.body)["tags"], nothing.headers["Link"]) == ([], None)
    assert registry("GET", "/v2/a/tags/list?n=x").status == 400


def test_referrers_are_found_filtered_and_go_with_their_manifest(registry: Registry) -> None:
    subject = registry.push_manifest("a", "v1", registry.image("a"))
    about = {"mediaType": MANIFEST, "digest": subject.headers["Docker-Content-Digest"], "size": 1}
    kinds = ("application/sbom", "application/signature")
    pushed = []
    for kind in kinds:
        document = registry.image("a", subject=about, artifactType=kind, annotations={"k": kind})
        answer = registry.push_manifest("a", kind.replace("/", "-"), document)
        assert answer.headers["OCI-Subject"] == about["digest"]
        pushed.append(answer.headers["Docker-Content-Digest"])
    path = f"/v2/a/referrers/{about['digest']}"
    listed = registry("GET", path)
    assert listed.headers["Content-Type"] == INDEX
    found = {m["digest"]: m for m in json.loads(listed.body)["manifests"]}
    assert set(found) == set(pushed)
    assert found[pushed[0]]["artifactType"] == kinds[0]
    assert found[pushed[0]]["annotations"] == {"k": kinds[0]}
    filtered = registry("GET", f"{path}?artifactType={kinds[1]}")
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert [m["digest"] for m in json.loads(filtered.body)["manifests"]] == [pushed[1]]
    assert registry("DELETE", f"/v2/a/manifests/{pushed[0]}").status == 202
    assert len(json.loads(registry("GET", path).body)["manifests"]) == 1
    empty = registry("GET", f"/v2/nobody/referrers/{digest(b'x')}")
    assert (empty.status, json.loads(empty.body)["manifests"]) == (200, [])


# ---- users, doors, garbage


def test_only_its_users_may_use_it(tmp_path: Path) -> None:
    import base64

    import bcrypt

    users = tmp_path / "htpasswd"
    users.write_bytes(b"ann:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n")
    registry = Registry(tmp_path / "registry", "--htpasswd", str(users))
    try:
        refused = registry("GET", "/v2/")
        assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        for password, status in (("secret", 200), ("wrong", 401), ("secret", 200)):
            word = base64.b64encode(f"ann:{password}".encode()).decode()
            assert registry("GET", "/v2/", Authorization=f"Basic {word}").status == status
        assert registry("GET", "/v2/", Authorization="Basic !").status == 401
    finally:
        registry.stop()


def test_what_no_manifest_needs_is_collected(registry: Registry) -> None:
    kept = registry.image("a", b"kept layer")
    assert registry.push_manifest("a", "v1", kept).status == 201
    orphan = registry.push_blob("a", b"orphan")
    gone = registry.push_manifest("b", "v1", registry.image("b", b"shared", b"only here"))
    shared = registry.image("a", b"shared")
    assert registry.push_manifest("a", "v2", shared).status == 201
    name = gone.headers["Docker-Content-Digest"]
    assert registry("DELETE", f"/v2/b/manifests/{name}").status == 202
    index = Index(str(registry.root / "index.db"))
    storage = FileStorage(str(registry.root))
    assert index.collect(storage, grace=3600)[0] == 1  # the deleted manifest
    assert index.collect(storage, grace=0)[0] == 2  # the orphan, and "only here"
    index.close()
    assert registry("GET", f"/v2/a/blobs/{orphan}").status == 404
    for document in (kept, shared):
        for layer in document["layers"]:
            assert registry("GET", f"/v2/a/blobs/{layer['digest']}").status == 200


def test_collecting_beside_pushes_loses_nothing(registry: Registry) -> None:
    index = Index(str(registry.root / "index.db"))
    storage = FileStorage(str(registry.root))
    pushed: list[tuple[str, dict]] = []
    errors: list[BaseException] = []

    def push(worker: int) -> None:
        try:
            for number in range(15):
                document = registry.image(f"r{worker % 2}", b"common", b"%d" % number)
                answer = registry.push_manifest(f"r{worker % 2}", f"t{number}", document)
                assert answer.status == 201, answer.body
                pushed.append((f"r{worker % 2}", document))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=push, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        index.collect(storage, grace=30)
    for worker in workers:
        worker.join()
    assert not errors, errors
    index.collect(storage, grace=0)
    index.close()
    for repository, document in pushed:
        for layer in document["layers"]:
            assert registry("HEAD", f"/v2/{repository}/blobs/{layer['digest']}").status == 200


@pytest.mark.skipif(not shutil.which("skopeo"), reason="no skopeo here")
def test_skopeo_pushes_and_pulls_the_same_digest(registry: Registry, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    document = registry.image("origin", b"\x1f\x8b layer")
    rootfs = {"type": "layers", "diff_ids": [digest(b"x")]}
    told = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    config = json.dumps(told).encode()
    document["config"] = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": registry.push_blob("origin", config),
        "size": len(config),
    }
    document["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
    name = registry.push_manifest("origin", "v1", document).headers["Docker-Content-Digest"]

    def skopeo(*words: str) -> None:
        subprocess.run(["skopeo", *words], check=True, capture_output=True, timeout=60)

    insecure = "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"
    skopeo("copy", *insecure, f"docker://{registry.address}/origin:v1", f"oci:{layout}:v1")
    skopeo("copy", *insecure, f"oci:{layout}:v1", f"docker://{registry.address}/copy:v1")
    copied = registry("HEAD", "/v2/copy/manifests/v1")
    assert copied.headers["Docker-Content-Digest"] == name
