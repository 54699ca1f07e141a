"""A lazy layer without a kernel: its table of contents, its plan, its filling, its verification."""

from __future__ import annotations

import hashlib
import json
import os
from itertools import pairwise

import pytest

from sampan.image.content import FileStore
from sampan.image.erofs import index
from sampan.image.lazy import filling, plan, toc
from tests.lazy_images import Layer, noise, tar_of

FILES = {
    "one": noise(5000, "one"),
    "two": noise(5 << 20, "two"),  # two chunks
    "zeros": bytes(100_000),
    "empty": b"",
    "usr/lib/three": b"three",
}


@pytest.fixture(scope="module")
def layer():
    return Layer(tar_of(FILES))


@pytest.fixture
def place(tmp_path, layer):
    return make(tmp_path, layer)


def make(tmp_path, layer):
    filling.begin(str(tmp_path), layer.start())
    return str(tmp_path)


def opened(place):
    return filling.Filling(place, filling.promised(place))


def fill(filled, blob):
    for number, span in enumerate(filled.plan.spans):
        filled.accept(number, blob[span.start : span.end])


def place_of(filled, name):
    """(offset, size) of a file in the layer file."""
    node = filled.plan.tree.root
    for step in name.split("/"):
        node = node.children[step]
    return index.RESERVE + node.data, node.size


def edited(layer, change):
    """The layer with a table of contents that somebody changed."""
    document = json.loads(layer.table)
    entries = document["entries"]
    change({entry["name"]: entry for entry in reversed(entries)}, entries)
    return layer.with_table(json.dumps(document).encode())


class TestTable:
    def test_it_must_be_the_one_that_the_manifest_names(self, layer):
        with pytest.raises(toc.NotLazy, match="the manifest says sha256:0000"):
            toc.unpack(layer.tail[: -toc.FOOTER], f"sha256:{'0' * 64}")

    @pytest.mark.parametrize("end", [b"", bytes(51), b"\x1f\x8b\x08\x04" + bytes(47)])
    def test_no_footer_no_lazy_layer(self, end):
        with pytest.raises(toc.NotLazy, match="footer"):
            toc.footer(end)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda by, all_: by["two"].update(chunkSize=0), "chunks of two"),
            (lambda by, all_: by["two"].update(size=1 << 40), "chunks of two"),
            (lambda by, all_: by["one"].update(chunkDigest="md5:1", digest=""), "no digest"),
            (lambda by, all_: by["one"].update(size=1 << 30), "too large"),
            (lambda by, all_: by["one"].update(offset=1 << 40), "outside the blob"),
            (lambda by, all_: by["one"].update(innerOffset=1 << 40), "too deep"),
            (lambda by, all_: by["one"].update(type="door"), "malformed"),
            (lambda by, all_: by["one"].update(name="\ufffd"), "UTF-8"),
            (lambda by, all_: all_.append(7), "malformed"),
        ],
    )
    def test_what_it_cannot_say_is_refused(self, layer, change, why):
        with pytest.raises(toc.NotLazy, match=why):
            edited(layer, change)

    def test_a_path_that_climbs_out_is_refused(self, layer):
        with pytest.raises(Exception, match="climbs out"):
            edited(layer, lambda by, all_: by["one"].update(name="../one"))


def test_the_spans_are_the_blob(layer):
    spans = layer.plan.spans
    assert spans[0].start == 0
    assert spans[-1].end == len(layer.blob)
    assert all(a.end == b.start for a, b in pairwise(spans))


def test_bytes_are_in_their_place_when_their_spans_are(place, layer):
    filled = opened(place)
    for name, data in FILES.items():
        offset, size = place_of(filled, name)
        for number in filled.missing(offset, size) if size else ():
            span = layer.plan.spans[number]
            filled.accept(number, layer.blob[span.start : span.end])
        assert filled.read(offset, size) == data
    filled.close()


def test_a_wrong_chunk_is_not_written(place, layer):
    filled = opened(place)
    offset, size = place_of(filled, "one")
    (number,) = filled.missing(offset, size)
    span = layer.plan.spans[number]
    other = next(s for s in layer.plan.spans if s.pieces and s is not span)
    for wrong in (
        bytes(span.end - span.start),
        layer.blob[span.start : span.end - 100],
        layer.blob[other.start : other.end],
    ):
        with pytest.raises(filling.WrongBytes):
            filled.accept(number, wrong)
        assert filled.missing(offset, size) == [number]
        assert filled.read(offset, size) == bytes(size)
    filled.close()


def test_after_a_crash_what_came_is_known_by_its_digests(place, layer):
    before = opened(place)
    spans = layer.plan.spans
    came = [n for n, span in enumerate(spans) if span.pieces][::2]
    for number in came:
        before.accept(number, layer.blob[spans[number].start : spans[number].end])
    before.close()
    after = opened(place)
    table = [n for n, span in enumerate(spans) if span.start >= layer.toc_offset]
    assert [n for n in range(len(spans)) if after.recall(n)] == sorted([*came, *table])
    after.close()


def test_a_whole_layer_becomes_an_ordinary_one(place, layer, tmp_path):
    filled, store = opened(place), FileStore(str(tmp_path / "store"))
    fill(filled, layer.blob)
    filled.verify()
    filled.finish(store)
    filled.settle()
    filled.close()
    with store.open(layer.digest) as file:
        assert file.read() == layer.blob
    assert filling.promised(place) is None
    assert not {"blob", "toc"} & set(os.listdir(place))


def test_bytes_between_the_chunks_count_at_the_end(place, layer):
    filled = opened(place)
    fill(filled, layer.blob)
    gap = next(n for n, span in enumerate(layer.plan.spans) if not span.pieces)
    span = layer.plan.spans[gap]
    filled.accept(gap, bytes(span.end - span.start))
    with pytest.raises(filling.WrongBytes, match="but it is sha256:"):
        filled.verify()
    filled.forget()
    assert not any(filled.recall(n) for n in range(len(layer.plan.spans)))
    fill(filled, layer.blob)
    filled.verify()
    filled.close()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda by, all_: by["one"].update(mode=0o4755), "otherwise about one"),
        (lambda by, all_: by["one"].update(uid=7), "otherwise about one"),
        (lambda by, all_: by["one"].update(xattrs={"user.x": "eA=="}), "otherwise about one"),
        (lambda by, all_: all_.remove(by["empty"]), "otherwise about"),
        (
            lambda by, all_: all_.append({"name": "more", "type": "dir"}),
            "has more, its tar has not",
        ),
        (
            lambda by, all_: by["usr/lib/three"].update(
                offset=by["one"]["offset"],
                chunkDigest=f"sha256:{hashlib.sha256(FILES['one'][:5]).hexdigest()}",
            ),
            "other bytes of usr/lib/three",
        ),
    ],
)
def test_a_table_that_lies_is_found_out(tmp_path, layer, change, why):
    liar = edited(layer, change)
    filled = opened(make(tmp_path, liar))
    fill(filled, liar.blob)
    with pytest.raises(filling.Broken, match=why):
        filled.verify()
    filled.close()


def test_another_diff_id_is_found_out(place, layer):
    promise = filling.promised(place).replace(diff_id=f"sha256:{'0' * 64}")
    filled = filling.Filling(place, promise)
    fill(filled, layer.blob)
    with pytest.raises(filling.Broken, match="sha256:0000"):
        filled.verify()
    filled.close()


def test_several_files_in_one_piece_of_the_blob(layer):
    """What other writers do with small files: innerOffset."""
    spans = plan._spans(
        [
            (index.RESERVE, toc.Chunk(at=0, size=5, offset=10, inner=0, digest="sha256:a")),
            (index.RESERVE + 512, toc.Chunk(at=0, size=7, offset=10, inner=512, digest="sha256:b")),
        ],
        100,
        50,
    )
    assert [(span.start, span.end, len(span.pieces)) for span in spans] == [
        (0, 10, 0), (10, 50, 2), (50, 100, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        b"[" * 5000,
        b'{"entries":[{"name":"a","type":"dir","modtime":"99999999999999999999-01-01T00:00:00Z"}]}',
    ],
)
def test_a_malformed_table_is_named(table):
    with pytest.raises(toc.NotLazy, match="malformed"):
        plan.Plan(table, 1 << 20, 1 << 19)
