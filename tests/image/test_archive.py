"""Image archives: what `save` writes and what `load` makes of everybody's."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading

import pytest

from sampan.image import archive, content
from sampan.image.content import MemoryStore
from sampan.kit import errors
from sampan.spec import oci_image
from sampan.spec.oci_image import Platform

from .archives import archive as pack
from .archives import member

NAME = "docker.io/library/x:1"


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_name(digest):
    return "blobs/" + digest.replace(":", "/")


LAYERS = [pack(member("a", data=b"1")), pack(member("b", data=b"2"))]
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [sha(layer) for layer in LAYERS]},
    },
    indent=2,
).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": oci_image.DOCKER_MANIFEST,
        "config": oci_image.descriptor(oci_image.DOCKER_CONFIG, CONFIG),
        "layers": [oci_image.descriptor(oci_image.DOCKER_LAYER, layer) for layer in LAYERS],
    },
    indent=3,
).encode()
BLOBS = [MANIFEST, CONFIG, *LAYERS]


@pytest.fixture
def store():
    return MemoryStore()


def image(store):
    for data in BLOBS:
        content.add(store, data)
    return sha(MANIFEST)


def load(store, data, **options):
    chunks = (data[at : at + 1000] for at in range(0, len(data), 1000))
    return archive.load(store, chunks, **options)


def saved(store, images):
    out = io.BytesIO()
    archive.save(store, [archive.Saved(digest=d, names=n) for d, n in images], out.write)
    return out.getvalue()


def layout(*, index=None, blobs=BLOBS, more=()):
    document = index or {"schemaVersion": 2, "manifests": [{"digest": sha(MANIFEST)}]}
    return pack(
        member("oci-layout", data=b'{"imageLayoutVersion":"1.0.0"}'),
        member("index.json", data=json.dumps(document).encode()),
        *[member(blob_name(sha(data)), data=data) for data in blobs],
        *more,
    )


def legacy(entries, *members):
    return pack(*members, member("manifest.json", data=json.dumps(entries).encode()))


CLASSIC = [
    member(f"{sha(CONFIG)[7:]}.json", data=CONFIG),
    member("one/layer.tar", data=LAYERS[0]),
    member("two/layer.tar", data=LAYERS[1]),
]
ENTRY = {
    "Config": f"{sha(CONFIG)[7:]}.json",
    "RepoTags": ["x:1"],
    "Layers": ["one/layer.tar", "two/layer.tar"],
}


def test_a_round_trip_keeps_every_byte_and_name(store, tmp_path):
    files = content.FileStore(str(tmp_path))
    data = saved(files, [(image(files), (NAME, "h:5/x:2"))])
    found = load(store, data)
    assert found == [archive.Loaded(manifest=sha(MANIFEST), names=(NAME, "h:5/x:2"))]
    assert set(store.walk()) == {sha(blob) for blob in BLOBS}


def test_what_is_saved_is_the_same_each_time_and_read_by_others(tmp_path):
    files = content.FileStore(str(tmp_path))
    data = saved(files, [(image(files), (NAME,))])
    assert data == saved(files, [(sha(MANIFEST), (NAME,))])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert len(tar.getnames()) == len(set(tar.getnames())) == len(BLOBS) + 3
        entry = json.load(tar.extractfile("manifest.json"))[0]
        index = json.load(tar.extractfile("index.json"))
        assert entry["RepoTags"] == ["x:1"]
        assert tar.extractfile(entry["Config"]).read() == CONFIG
        assert [tar.extractfile(name).read() for name in entry["Layers"]] == LAYERS
    annotations = index["manifests"][0]["annotations"]
    assert annotations["io.containerd.image.name"] == NAME
    assert annotations["org.opencontainers.image.ref.name"] == "1"


def test_docker_reads_older_parts_of_our_archives_alone(store, tmp_path):
    files = content.FileStore(str(tmp_path))
    data = saved(files, [(image(files), (NAME,))])
    members = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar.getmembers():
            if info.name not in ("index.json", "oci-layout"):
                members.append((info, tar.extractfile(info).read()))
    (found,) = load(store, pack(*members))
    assert found.names == (NAME,)
    assert json.loads(content.read(store, found.manifest))["config"]["digest"] == sha(CONFIG)


def test_an_image_without_a_name(store, tmp_path):
    files = content.FileStore(str(tmp_path))
    assert load(store, saved(files, [(image(files), ())])) == [
        archive.Loaded(manifest=sha(MANIFEST), names=())
    ]


@pytest.mark.parametrize("how", ["gzip", "two gzips", "zstd"])
def test_a_compressed_archive(store, how):
    plain = layout()
    packed = {
        "gzip": lambda: gzip.compress(plain),
        "two gzips": lambda: gzip.compress(plain[:999]) + gzip.compress(plain[999:]),
        "zstd": lambda: pytest.importorskip("backports.zstd").compress(plain),
    }[how]()
    assert [found.manifest for found in load(store, packed)] == [sha(MANIFEST)]


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_compressed_archive_that_was_cut(store, how):
    plain = layout()
    packed = (
        gzip.compress(plain)
        if how == "gzip"
        else pytest.importorskip("backports.zstd").compress(plain)
    )
    with pytest.raises(errors.InvalidArgument):
        load(store, packed[: len(packed) // 2])
    assert list(store.walk()) == []


def test_a_classic_archive(store):
    (found,) = load(store, legacy([ENTRY], *CLASSIC))
    manifest = json.loads(content.read(store, found.manifest))
    assert found.names == (NAME,)
    assert [layer["digest"] for layer in manifest["layers"]] == [sha(layer) for layer in LAYERS]
    assert set(store.walk()) == {found.manifest, *(sha(blob) for blob in BLOBS[1:])}


@pytest.mark.parametrize(
    "link",
    [
        [member("two/layer.tar", "symlink", link="../one/layer.tar")],
        [member("two/layer.tar", "hard link", link="one/layer.tar")],
        [
            member("two/layer.tar", "symlink", link="../three/layer.tar"),
            member("three/layer.tar", "symlink", link="../one/layer.tar"),
        ],
    ],
)
def test_a_classic_archive_whose_layers_are_links(store, link):
    config = json.dumps({"rootfs": {"diff_ids": [sha(LAYERS[0])] * 2}}).encode()
    members = [*link, member("c.json", data=config), member("one/layer.tar", data=LAYERS[0])]
    (found,) = load(store, legacy([ENTRY | {"Config": "c.json"}], *members))
    manifest = json.loads(content.read(store, found.manifest))
    assert [layer["digest"] for layer in manifest["layers"]] == [sha(LAYERS[0])] * 2


def test_links_in_a_circle(store):
    loop = [
        member("two/layer.tar", "symlink", link="../three"),
        member("three", "symlink", link="two/layer.tar"),
    ]
    with pytest.raises(archive.NotAnArchive, match=r"two/layer\.tar"):
        load(store, legacy([ENTRY], *CLASSIC[:2], *loop))


def test_an_index_of_several_platforms(store):
    index = {
        "mediaType": oci_image.INDEX,
        "manifests": [
            {"digest": "sha256:" + "0" * 64, "platform": {"os": "linux", "architecture": "s390x"}},
            {"digest": sha(MANIFEST), "platform": {"os": "linux", "architecture": "arm64"}},
        ],
    }
    inner = json.dumps(index).encode()
    top = {
        "manifests": [
            {"digest": sha(inner), "annotations": {"io.containerd.image.name": NAME}},
        ]
    }
    data = layout(index=top, blobs=[inner, *BLOBS])
    arm = Platform(os="linux", architecture="arm64")
    assert load(store, data, platform=arm) == [
        archive.Loaded(manifest=sha(MANIFEST), names=(NAME,), target=sha(inner))
    ]
    with pytest.raises(oci_image.NoMatchingPlatform):
        load(store, data, platform=Platform(os="linux", architecture="riscv64"))


ODD = json.dumps({"mediaType": "application/vnd.example.odd"}).encode()
TAKEN = {
    "a blob that nothing names": layout(more=[member(blob_name(sha(b"x")), data=b"x")]),
    "files and directories of other tools": layout(
        more=[member("blobs", "directory"), member("repositories", data=b"{"), member("x/y")]
    ),
    "descriptors with more than is known": layout(
        index={"x": 1, "manifests": [{"digest": sha(MANIFEST), "size": 1, "x": [None]}]}
    ),
    "something of another kind beside it": layout(
        index={"manifests": [
            {"digest": sha(ODD), "mediaType": "application/vnd.example.odd"},
            {"digest": sha(MANIFEST), "mediaType": oci_image.DOCKER_MANIFEST},
        ]},
        blobs=[ODD, *BLOBS],
    ),
    "an artifact beside it that is not here": layout(
        index={"manifests": [{"digest": sha(MANIFEST)}], "subject": {"digest": sha(b"gone")}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_a_layout_may_have_more_than_is_read(store, case):
    """image-layout.md: unreferenced blobs, other files, unknown types are no error."""
    assert [image.manifest for image in load(store, TAKEN[case])] == [sha(MANIFEST)]


def test_a_layout_of_another_version(store):
    other = pack(
        member("oci-layout", data=b'{"imageLayoutVersion":"2.0.0"}'),
        member("index.json", data=b'{"manifests": []}'),
    )
    with pytest.raises(archive.NotAnArchive, match=r"version 2\.0\.0; this one knows 1\.0\.0"):
        load(store, other)


WRONG_BLOB = member(blob_name("sha256:" + "0" * 64), data=b"not these bytes")
EMPTY_INDEX = {"manifests": [{"digest": "sha256:" + "0" * 64}]}
REFUSED = {
    "a blob that is not what its name says": layout(more=[WRONG_BLOB]),
    "a blob of an unknown algorithm": layout(more=[member("blobs/md5/" + "0" * 32, data=b"x")]),
    "a layout without its manifest": layout(index=EMPTY_INDEX),
    "a layout without a layer": layout(blobs=BLOBS[:-1]),
    "a layout without its config": layout(blobs=[MANIFEST, *LAYERS]),
    "a digest that climbs": layout(index={"manifests": [{"digest": "sha256:../../x"}]}),
    "no digest": layout(index={"manifests": [{}]}),
    "manifests that are no list": layout(index={"manifests": {"a": 1}}),
    "a manifest that is a layer": layout(index={"manifests": [{"digest": sha(LAYERS[0])}]}),
    "a manifest that is a config": layout(index={"manifests": [{"digest": sha(CONFIG)}]}),
    "no archive of images": pack(member("hello", data=b"x")),
    "no tar": b"hello " * 1000,
    "nothing": b"",
    "a missing layer": legacy([ENTRY], *CLASSIC[:2]),
    "a missing config": legacy([ENTRY], *CLASSIC[1:]),
    "layers of other files": legacy([ENTRY | {"Layers": ["/etc/passwd"] * 2}], *CLASSIC),
    "a layer too few": legacy([ENTRY | {"Layers": ["one/layer.tar"]}], *CLASSIC),
    "a layer that is a number": legacy([ENTRY | {"Layers": [1, 2]}], *CLASSIC),
    "a config that is nothing": legacy([ENTRY | {"Config": None}], *CLASSIC),
    "a bad name": legacy([ENTRY | {"RepoTags": ["../x"]}], *CLASSIC),
    "names that are no list": legacy([ENTRY | {"RepoTags": "x:1"}], *CLASSIC),
    "entries that are words": legacy(["x"], *CLASSIC),
    "a list that is a map": legacy({"a": 1}, *CLASSIC),
    "a manifest.json that is no JSON": pack(member("manifest.json", data=b"{")),
    "an index.json that is a list": pack(
        member("index.json", data=b"[]"), member("oci-layout", data=b"{}")
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing(store, case):
    kept = content.add(store, b"of another image")
    with pytest.raises((errors.InvalidArgument, errors.Unsupported)) as caught:
        load(store, REFUSED[case])
    assert list(store.walk()) == [kept]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../../tmp/imgtest-x", "/tmp/imgtest-x", "blobs/../../x", "."])
def test_an_unsafe_name_is_harmless(tmp_path, name):
    store = content.FileStore(str(tmp_path / "store"))
    assert len(load(store, layout(more=[member(name, data=b"x")]))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_blob_that_was_there_before_stays(store):
    """The books of an archive are thrown away, unless somebody else has the same bytes."""
    kept = content.add(store, b'{"imageLayoutVersion":"1.0.0"}')
    load(store, layout())
    assert kept in store


def test_a_layer_is_the_same_however_its_tar_came_in(store):
    text = "".join(f"{number:x} " for number in range(700_000)).encode()

    def made(size):
        with archive.new_layer(store) as layer:
            for at in range(0, len(text), size):
                layer.write(text[at : at + size])
            return layer.finish()

    assert made(len(text)) == made(1000) == made(3 << 19)


def test_a_layer_that_is_left_in_the_middle_leaves_nothing(store):
    def leave():
        with archive.new_layer(store) as layer:
            layer.write(bytes(5 << 20))
            raise RuntimeError

    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises(RuntimeError):
        leave()
    assert {thread.ident for thread in threading.enumerate()} <= before
    assert not [*store.walk()]


def test_a_layer_on_its_way_knows_both_digests(store):
    with archive.new_layer(store) as layer:
        for byte in LAYERS[0]:
            layer.write(bytes([byte]))
        descriptor, diff_id = layer.finish()
    packed = content.read(store, descriptor["digest"])
    assert gzip.decompress(packed) == LAYERS[0]
    assert (diff_id, descriptor["size"]) == (sha(LAYERS[0]), len(packed))
    gunzip = subprocess.run(["gzip", "-dc"], input=packed, capture_output=True, check=True)
    assert gunzip.stdout == LAYERS[0]
