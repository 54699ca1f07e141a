"""Streams in any compression: read whole, in bounded pieces, and only what they may become."""

import gzip
import itertools
import subprocess
import zlib

import pytest

from sampan.image import compress
from sampan.kit import errors

PLAIN = b"".join(b"%d\n" % number for number in range(200_000))


def pieces(data, size=1000):
    return (data[at : at + size] for at in range(0, len(data), size))


def packed(form, data=PLAIN):
    out = []
    writer = compress.compressor(form, out.append)
    for piece in pieces(data, 70_001):
        writer.write(piece)
    writer.finish()
    return b"".join(out)


@pytest.mark.parametrize("form", compress.FORMS)
@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
def test_a_round_trip(form, size):
    data = PLAIN[:20_000] if size < 10 else PLAIN
    assert b"".join(compress.decompress(pieces(packed(form, data), size))) == data


@pytest.mark.parametrize(
    ("form", "program"), [("gzip", ["gzip", "-dc"]), ("zstd", ["zstd", "-dc"])]
)
def test_others_read_what_is_written(form, program):
    try:
        read = subprocess.run(program, input=packed(form), capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"{program[0]} is not installed")
    assert read.stdout == PLAIN


@pytest.mark.parametrize("form", compress.FORMS)
def test_the_same_bytes_each_time(form):
    assert packed(form) == packed(form)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_several_in_a_row_are_one(form, size):
    data = packed(form, b"one ") + packed(form, b"") + packed(form, b"two")
    assert b"".join(compress.decompress(pieces(data, size))) == b"one two"


def test_skippable_frames_are_skipped():
    skip = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    data = skip + packed("zstd", b"one ") + skip + packed("zstd", b"two") + skip
    assert b"".join(compress.decompress(pieces(data, 3))) == b"one two"


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_one_that_was_cut_is_refused(form):
    data = packed(form)
    with pytest.raises(compress.Corrupt):
        list(compress.decompress(pieces(data[: len(data) // 2])))


def test_zeros_after_the_last_gzip_member_are_padding():
    assert b"".join(compress.decompress(pieces(packed("gzip", b"x") + bytes(2000)))) == b"x"


def test_garbage_after_the_last_gzip_member_is_refused():
    with pytest.raises(compress.Corrupt):
        list(compress.decompress(pieces(packed("gzip", b"x") + b"garbage")))


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_however_small_the_input_the_output_comes_in_pieces(form):
    data = packed(form, bytes(30 << 20))
    sizes = [len(piece) for piece in compress.decompress(iter([data]))]
    assert sum(sizes) == 30 << 20
    assert max(sizes) <= 1 << 20


def test_a_bomb_is_refused(monkeypatch):
    """zstd knows no bound of its own: 4 bytes may stand for 128 KiB."""
    monkeypatch.setattr(compress, "_FREE", 1 << 20)
    given = 0
    with pytest.raises(compress.Bomb, match="decompression bomb"):
        for piece in compress.decompress(iter([packed("zstd", bytes(64 << 20))])):
            given += len(piece)
    assert given <= 8 << 20


def test_what_gzip_can_do_is_no_bomb(monkeypatch):
    monkeypatch.setattr(compress, "_FREE", 0)
    worst = zlib.compress(bytes(64 << 20), 9, wbits=31)
    assert sum(map(len, compress.decompress(iter([worst])))) == 64 << 20


def test_an_unknown_form_is_named():
    with pytest.raises(errors.InvalidArgument, match="'lzma' is no compression"):
        compress.compressor("lzma", print)


def test_a_stream_that_never_ends_is_read_as_it_comes():
    forever = itertools.chain([gzip.compress(b"x" * 1000)], itertools.repeat(gzip.compress(b"y")))
    assert next(iter(compress.decompress(forever))) == b"x" * 1000
