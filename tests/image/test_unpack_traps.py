"""Layers are hostile: whatever they name, nothing outside of the directory changes."""

import hashlib
import itertools
import os
import threading

import pytest

from sampan.image import tar
from sampan.image.descent import Trap
from sampan.image.unpack import DiffIdMismatch, TooLarge

from .archives import END, KINDS, archive, member, padded, raw_header


@pytest.fixture
def place(tmp_path):
    """An inner directory to unpack into, beside a file that must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "in").mkdir()
    yield tmp_path / "in"
    assert sorted(os.listdir(tmp_path)) == ["in", "outside"]
    assert os.listdir(tmp_path / "outside") == ["secret"]
    assert (tmp_path / "outside" / "secret").read_text() == "secret"
    assert os.stat(tmp_path / "outside" / "secret").st_nlink == 1


def names(place):
    return sorted(
        os.path.relpath(os.path.join(d, n), place)
        for d, directories, files in os.walk(place)
        for n in directories + files
    )


ESCAPES = {
    "dots": [member("../x")],
    "dots inside": [member("a/../../x")],
    "dots that stay inside": [member("a/../x")],
    "dots at the end": [member("a/..", "directory")],
    "absolute dots": [member("/../x")],
    "symlink on the way": [member("l", "symlink", link="../outside"), member("l/x")],
    "absolute symlink on the way": [member("l", "symlink", link="/tmp"), member("l/x")],
    "symlink to the directory itself": [member("l", "symlink", link="."), member("l/x")],
    "symlink deep on the way": [
        member("a/b/l", "symlink", link="../../../outside"),
        member("a/b/l/c/x"),
    ],
    "parent replaced by a symlink": [
        member("a/b", data=b"x"),
        member("a", "symlink", link="../outside"),
        member("a/x"),
    ],
    "directory replaced by a symlink": [
        member("a", "directory"),
        member("a", "symlink", link="../outside"),
        member("a/x", "directory"),
    ],
    "hard link to dots": [member("x", "hard link", link="../outside/secret")],
    "hard link through a symlink": [
        member("l", "symlink", link="../outside"),
        member("x", "hard link", link="l/secret"),
    ],
    "hard link to a directory": [
        member("d", "directory"),
        member("x", "hard link", link="d"),
    ],
    "hard link to nothing": [member("x", "hard link", link="nothing")],
    "hard link without a target": [member("x", "hard link", link="")],
    "a file on the way": [member("f"), member("f/x")],
    "a whiteout on the way of a link": [
        member("l", "symlink", link="../outside"),
        member("l/.wh.secret"),
    ],
    "an opaque marker behind a link": [
        member("l", "symlink", link="../outside"),
        member("l/.wh..wh..opq"),
    ],
    "a whiteout of nothing": [member(".wh.")],
    "a whiteout of this directory": [member("a/.wh..")],
    "a whiteout of the parent": [member("a/.wh...")],
}


@pytest.mark.parametrize("case", ESCAPES)
def test_an_escape_is_refused_by_its_name(place, case, put):
    last = ESCAPES[case][-1][0].name
    with pytest.raises(Trap) as caught:
        put(place, archive(*ESCAPES[case]))
    assert caught.value.name.rstrip("/") == last.rstrip("/")
    assert repr(last)[:-1] in str(caught.value)


def test_absolute_names_are_below_the_directory(place, put):
    put(place, archive(member("/etc/x"), member("//y"), member("./z")))
    assert names(place) == ["etc", "etc/x", "y", "z"]


def test_an_absolute_hard_link_is_to_the_layers_own_file(place, put):
    put(place, archive(member("/etc/x"), member("y", "hard link", link="/etc/x")))
    assert os.stat(place / "y").st_nlink == 2


def test_a_hard_link_to_a_symlink_is_to_the_link_itself(place, put):
    put(
        place,
        archive(
            member("l", "symlink", link="../outside/secret"),
            member("h", "hard link", link="l"),
        ),
    )
    assert os.readlink(place / "h") == "../outside/secret"


def test_a_file_over_a_symlink_replaces_the_link(place, put):
    put(place, archive(member("l", "symlink", link="../outside/secret"), member("l", data=b"new")))
    assert not (place / "l").is_symlink()
    assert (place / "l").read_bytes() == b"new"


def test_attributes_over_a_symlink_do_not_go_through_it(place, put):
    before = os.stat(place.parent / "outside" / "secret")
    put(
        place,
        archive(
            member("l", "symlink", link="../outside/secret", uid=7, mtime=5, mode=0o777),
            member("d", "symlink", link="../outside"),
            member("d", "directory", uid=7, mode=0o700),
        ),
    )
    after = os.stat(place.parent / "outside" / "secret")
    assert (before.st_uid, before.st_mode, before.st_mtime_ns) == (
        after.st_uid, after.st_mode, after.st_mtime_ns,
    )  # fmt: skip
    assert os.stat(place.parent / "outside").st_uid == 0
    assert (place / "d").is_dir() and not (place / "d").is_symlink()


@pytest.mark.parametrize(("first", "second"), list(itertools.product(KINDS, KINDS)))
def test_of_two_entries_with_one_name_the_later_counts(place, first, second, put):
    def one(kind, data):
        link = {"hard link": "target", "symlink": "target"}.get(kind, "")
        return member("x", kind, data if kind == "file" else b"", link=link)

    put(place, archive(member("target", data=b"t"), one(first, b"1"), one(second, b"2")))
    path = place / "x"
    shown = {
        "file": lambda: path.read_bytes() == b"2" and not path.is_symlink(),
        "directory": lambda: path.is_dir() and not path.is_symlink(),
        "symlink": path.is_symlink,
        "hard link": lambda: path.samefile(place / "target") and not path.is_symlink(),
        "fifo": path.is_fifo,
        "device": path.is_char_device,
        "block": path.is_block_device,
    }
    assert shown[second]()


def test_a_full_directory_is_replaced_and_forgotten(place, put):
    put(
        place,
        archive(
            member("a", "directory"),
            member("a/b", "directory"),
            member("a/b/f"),
            member("a", data=b"file"),
            member("c/d", "directory"),
            member("c", "symlink", link="../outside"),
        ),
    )
    assert names(place) == ["a", "c"]


def test_a_very_deep_tree(place, put):
    deep = "/".join(["d"] * 1500)
    put(place, archive(member(f"{deep}/f"), member(deep, "directory", mtime=5), member("d")))
    assert names(place) == ["d"]


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"-rf", b" ", b"\\x", "é".encode()])
def test_odd_names_stay_what_they_are(place, name, put):
    header = raw_header(b"dir/" + name)
    put(place, header + END)
    assert os.listdir(os.fsencode(place / "dir")) == [name]


BROKEN = {
    "no tar": b"this is no tar " * 100,
    "bad checksum": archive(member("a")).replace(b"a", b"b", 1),
    "half a header": archive(member("a"))[:300],
    "cut in the data": archive(member("a", data=b"x" * 5000))[:2000],
    "huge extended header": raw_header(b"x", b"x", b"%011o\0" % (1 << 25)) + bytes(4096),
    "extended header cut": raw_header(b"x", b"x", b"%011o\0" % 4096) + bytes(10),
    "bad record length": raw_header(b"x", b"x", b"%011o\0" % 10) + padded(b"99 path=x\n"),
    "record without length": raw_header(b"x", b"x", b"%011o\0" % 7) + padded(b"path=x\n"),
    "record without equals": raw_header(b"x", b"x", b"%011o\0" % 7) + padded(b"7 path\n"),
    "name with zero byte": raw_header(b"x", b"x", b"%011o\0" % 12)
    + padded(b"12 path=a\0b\n") + raw_header(b"x") + END,
    "negative size": raw_header(b"x", b"0", b"\xff" * 12) + END,
    "signed octal size": raw_header(b"x", b"0", b"-0000000001\0") + END,
    "endless owner": raw_header(b"x", at_108=b"\x80" + b"\x7f" * 7) + END,
    "endless time": raw_header(b"x", at_136=b"\x80" + b"\x7f" * 11) + END,
    "endless device": raw_header(b"x", b"3", at_329=b"\x80" + b"\x7f" * 7) + END,
    "pax size below zero": raw_header(b"x", b"x", b"%011o\0" % 11)
    + padded(b"11 size=-5\n") + raw_header(b"x") + END,
    "unknown type": raw_header(b"x", b"?") + END,
    "bad time": raw_header(b"x", b"x", b"%011o\0" % 13)
    + padded(b"13 mtime=nan\n") + raw_header(b"x") + END,
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_in_a_sentence(place, case, put):
    with pytest.raises(tar.TarError) as caught:
        put(place, BROKEN[case])
    assert "\n" not in str(caught.value)


def test_many_small_records_do_not_take_forever(place, put):
    body = b"6 a=b\n" * 150_000
    data = raw_header(b"x", b"x", b"%011o\0" % len(body)) + padded(body) + raw_header(b"f") + END
    put(place, data)
    assert names(place) == ["f"]


def test_trailing_garbage_counts_for_the_digest_only(place, put):
    data = archive(member("a")) + archive(member("hidden")) + b"garbage"
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert put(place, data, expected=digest).diff_id == digest
    assert names(place) == ["a"]


def test_a_wrong_diff_id(place, put):
    with pytest.raises(DiffIdMismatch, match="sha256:0000"):
        put(place, archive(member("a")), expected="sha256:" + "0" * 64)


def test_the_limit(place, put):
    data = archive(member("a", data=bytes(100_000)))
    with pytest.raises(TooLarge, match="50000 bytes"):
        put(place, data, limit=50_000)
    put(place, data, limit=len(data))


def test_no_descriptor_is_left_open(place, put):
    before = os.listdir("/proc/self/fd")
    for case in ESCAPES.values():
        with pytest.raises(Trap):
            put(place, archive(*case))
        for name in os.listdir(place):
            path = place / name
            os.system(f"rm -rf '{path}'")
    assert os.listdir("/proc/self/fd") == before


def test_a_large_layer_that_is_refused_leaves_no_thread(place, put):
    large = [member(f"f{number}", data=bytes(1 << 20)) for number in range(6)]
    data = archive(*large, member("../x"))
    before = threading.active_count()
    with pytest.raises(Trap):
        put(place, data)
    assert threading.active_count() == before
    data = archive(*large)
    assert put(place, data).diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
