"""The index: what erofs-utils and the kernel make of it, and what does not fit into one."""

import os
import shutil
import signal
import stat
import struct
import subprocess
from contextlib import closing

import pytest

from sampan.image import archive as archiving
from sampan.image import content, tar
from sampan.image.erofs import build, index, mounting
from sampan.image.erofs.layers import ErofsLayers

from .archives import END, archive, member, padded, raw_header


def record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    size = len(body) + 1
    while size != len(b"%d" % size) + len(body):
        size = len(b"%d" % size) + len(body)
    return b"%d" % size + body


def with_xattrs(name: bytes, **values: bytes) -> bytes:
    """A member with extended attributes that are no text."""
    records = b"".join(record(b"SCHILY.xattr." + k.encode(), v) for k, v in values.items())
    return raw_header(b"x", b"x", b"%011o\0" % len(records)) + padded(records) + raw_header(name)


def everything() -> bytes:
    """Every kind of member, inline and not, compact and extended."""
    long = "n" * 255
    return archive(
        member(".", "directory", mode=0o755),
        member("empty"),
        member("one", data=b"1" * 511),
        member("exact", data=b"2" * 512),
        member("pages", data=os.urandom(100_001), uid=70_000, gid=3_000_000_000),
        member("new", mtime=1_700_000_000.123456789),
        member("deep/ly/im/plied/" + long, data=b"x"),
        member("p", "fifo"),
        member("c", "device", devmajor=5, devminor=1),
        member("b", "block", devmajor=259, devminor=70_000),
        member("short", "symlink", link="target"),
        member("long", "symlink", link="t/" * 2000),
        member("link", "hard link", link="pages"),
        member("note", xattrs={"user.note": "x" * 100}),
        *(member(f"many/{number:04}-{'m' * (number % 60)}") for number in range(700)),
        member("gone/.wh.file"),
        member("opaque/.wh..wh..opq"),
    )


def layer(path, data: bytes) -> str:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        build.build(iter([data]), fd)
    finally:
        os.close(fd)
    return str(path)


def checked(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["fsck.erofs", path], capture_output=True, text=True)


@pytest.fixture
def mounted(tmp_path):
    trees = []

    def run(data: bytes) -> str:
        tree = mounting.mount(layer(tmp_path / f"layer{len(trees)}", data), "file")
        trees.append(tree)
        return f"/proc/self/fd/{tree}"

    yield run
    for tree in trees:
        os.close(tree)


def test_erofs_utils_find_no_error(tmp_path):
    """From 1.6 on, which know blocks of 512 bytes."""
    if shutil.which("fsck.erofs") is None:
        pytest.skip("erofs-utils are not installed")
    empty = checked(layer(tmp_path / "empty", END))
    if "blksize 512 isn't supported" in empty.stderr:
        pytest.skip("these erofs-utils do not know blocks of 512 bytes")
    assert empty.returncode == 0, empty.stderr
    found = checked(layer(tmp_path / "all", everything()))
    assert found.returncode == 0, found.stderr
    broken = tmp_path / "all"
    with open(broken, "r+b") as file:
        file.seek(1536)
        file.write(b"\xff" * 64)
    assert checked(str(broken)).returncode != 0


@pytest.mark.needs("erofs")
def test_every_kind(mounted):
    root = mounted(everything())
    assert os.listdir(f"{root}/deep/ly/im/plied") == ["n" * 255]
    assert stat.S_IMODE(os.stat(f"{root}/deep/ly").st_mode) == 0o755
    assert os.stat(f"{root}/pages").st_size == 100_001
    assert os.stat(f"{root}/pages").st_nlink == 2
    assert os.stat(f"{root}/pages").st_gid == 3_000_000_000
    assert os.stat(f"{root}/b").st_rdev == os.makedev(259, 70_000)
    assert os.stat(f"{root}/new").st_mtime_ns % 10**9 // 1000 == 123456
    assert os.readlink(f"{root}/long") == "t/" * 2000
    assert len(os.listdir(f"{root}/many")) == 700
    assert os.stat(root).st_nlink == 6
    assert os.stat(f"{root}/gone/file").st_rdev == 0
    assert os.getxattr(f"{root}/opaque", "trusted.overlay.opaque") == b"y"


@pytest.mark.needs("erofs")
def test_extended_attributes_of_every_kind(mounted):
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, rights, who)
        for tag, rights, who in ((1, 7, 2**32 - 1), (2, 5, 33), (4, 5, 2**32 - 1),
                                 (16, 5, 2**32 - 1), (32, 0, 2**32 - 1))
    )  # fmt: skip
    capability = bytes.fromhex("0100000200040000" + "00" * 12)
    values = {
        "security.capability": capability, "system.posix_acl_access": acl,
        "trusted.thing": b"\0\xff", "user.note": b"n" * 3000, "trusted.overlay.opaque": b"y",
        "strange.kind": b"1",
    }  # fmt: skip
    root = mounted(with_xattrs(b"f", **values) + END)
    found = {name: os.getxattr(f"{root}/f", name) for name in os.listxattr(f"{root}/f")}
    assert found == {k: v for k, v in values.items() if k[:8] not in ("trusted.", "strange.")} | {
        "trusted.thing": b"\0\xff"
    }


@pytest.mark.needs("erofs")
def test_a_file_of_more_than_four_gigabytes(mounted):
    """A sparse one, so that it costs nothing; its holes stay holes on the disk."""
    size = (5 << 30) + 3
    text = b"1\n%d\n3\n" % (size - 3)
    records = b"".join(
        record(b"GNU.sparse." + key, value)
        for key, value in {
            b"major": b"1", b"minor": b"0", b"name": b"large", b"realsize": b"%d" % size,
        }.items()
    )  # fmt: skip
    data = (
        raw_header(b"x", b"x", b"%011o\0" % len(records)) + padded(records)
        + raw_header(b"f", b"0", b"%011o\0" % 515) + padded(text) + padded(b"end")
    )  # fmt: skip
    root = mounted(data + END)
    with open(f"{root}/large", "rb") as file:
        assert os.fstat(file.fileno()).st_size == size
        file.seek(4 << 30)
        assert file.read(4096) == bytes(4096)
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"\0\0end"


def test_holes_take_no_space(tmp_path):
    path = layer(tmp_path / "layer", archive(member("f", data=b"x")))
    assert os.stat(path).st_size > index.RESERVE
    assert os.stat(path).st_blocks * 512 < 1 << 20


REFUSED = {
    "a long name": archive(member("d/" + "n" * 256)),
    "a long name of a directory": archive(member("n" * 256 + "/f")),
    "a long link": archive(member("l", "symlink", link="t" * 4096)),
    "a link to nothing": raw_header(b"l", b"2") + END,
    "a device number": archive(member("d", "device", devmajor=4096, devminor=0)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_file_system_takes_is_refused_by_its_name(tmp_path, case):
    with pytest.raises(tar.TarError, match=r"^[dln]"):
        layer(tmp_path / "layer", REFUSED[case])


@pytest.mark.needs("erofs", "mount")
def test_a_real_tree_comes_out_as_gnu_tar_unpacks_it(mounted, tmp_path):
    """Part of this host's own files: a hundred megabytes at most, thousands of names."""
    wanted = [p for p in ("/etc", "/usr/share/zoneinfo", "/usr/sbin") if os.path.isdir(p)]
    pack = ["tar", "-c", "--format=pax", "--xattrs", "--ignore-failed-read", *wanted]
    done = subprocess.run(pack, capture_output=True, check=False)
    (tmp_path / "theirs").mkdir()
    extract = ["tar", "-C", tmp_path / "theirs", "-xp", "--same-owner", "--xattrs"]
    subprocess.run(extract, input=done.stdout, check=True, capture_output=True)
    from .test_unpack import shape

    ours, theirs = shape(mounted(done.stdout)), shape(tmp_path / "theirs")
    implied = {".", "usr", "usr/share"}  # GNU tar makes them now
    assert {k: v for k, v in ours.items() if k not in implied} == {
        k: v for k, v in theirs.items() if k not in implied
    }


def put_everything(root, writer: tar.Writer) -> None:
    """Every kind of member, as our writer has them."""
    writer.begin(tar.Entry("", tar.DIRECTORY, mode=0o751))
    for number in range(300):
        one = tar.Entry(f"many/{number:04}-{'m' * (number % 60)}", mode=number)
        one.mtime, one.uid = number * 10**9 + number % 3, number * 1000
        writer.add(one, b"x" * number)
    long = tar.Entry("a/" * 120 + "n\udcff", mode=0o4755)
    long.uid, long.mtime = 3_000_000_000, -1_500_000_000
    long.xattrs = {"user.two": b"\0\n=", "security.capability": b"c" * 20, "user.a": b""}
    writer.add(long, os.urandom(3 << 20))
    for kind, name in (
        (tar.SYMLINK, "short"), (tar.SYMLINK, "long"), (tar.HARD_LINK, "hard"), (tar.FIFO, "p"),
        (tar.CHARACTER, "c"), (tar.BLOCK_DEVICE, "b"), (tar.DIRECTORY, "many"),
    ):  # fmt: skip
        entry = tar.Entry(name, kind, mode=0o640)
        if kind in (tar.CHARACTER, tar.BLOCK_DEVICE):
            entry.device = (259, 70_000)
        links = {"short": "there", "long": "t/" * 2000, "hard": "many/0007-" + "m" * 7}
        entry.link = links.get(name, "")
        writer.begin(entry)
    writer.add(tar.Entry("gone/.wh.file", mode=0o600))
    writer.add(tar.Entry("hidden/.wh..wh..opq", mode=0o600))
    for name in ("holes", "named twice", "named twice"):
        with open(f"{root}/file", "wb") as file:
            file.truncate(1_000_001)
        tar.write_one(writer, f"{root}/file", name, os.lstat(f"{root}/file"), {})
    writer.finish()


def test_a_layer_made_while_it_is_packed_is_the_one_that_unpacking_makes(tmp_path):
    made, unpacked = ErofsLayers(f"{tmp_path}/made"), ErofsLayers(f"{tmp_path}/unpacked")
    store = content.FileStore(f"{tmp_path}/made")
    with closing(made.making()) as making:
        with archiving.new_layer(store, making=making) as writing:
            put_everything(tmp_path, writing.tar(latest=200))
            descriptor, diff_id = writing.finish()
        making.publish("sha256:top", "sha256:below")
    with store.open(descriptor["digest"]) as packed:
        unpacked.unpack("sha256:top", "sha256:below", packed, diff_id)
    for name in ("layer", "parent", "size", "chain"):
        one, other = f"{made.layer('sha256:top')}/{name}", f"{unpacked.layer('sha256:top')}/{name}"
        assert subprocess.run(["cmp", one, other]).returncode == 0, name
        assert os.stat(one).st_blocks == os.stat(other).st_blocks, name


def test_a_layer_that_was_not_finished_leaves_nothing(tmp_path):
    layers = ErofsLayers(f"{tmp_path}")
    with closing(layers.making()) as making:
        making.write(b"x" * 5000)
        layers.collect()  # somebody is at it
        assert os.listdir(f"{tmp_path}/snapshots/erofs/l") != ["by-chain"]
    assert os.listdir(f"{tmp_path}/snapshots/erofs/l") == ["by-chain"]
    assert [*layers.layers()] == []


@pytest.mark.parametrize("moment", ["writing", "arrange", "complete", "publish"])
def test_a_layer_whose_maker_is_killed_is_as_if_it_had_never_been(tmp_path, moment):
    child = os.fork()
    if not child:
        _killed_at(moment, tmp_path)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    layers = ErofsLayers(f"{tmp_path}")
    assert [*layers.layers()] == []
    assert len(os.listdir(f"{tmp_path}/snapshots/erofs/l")) == 2
    layers.collect()
    assert os.listdir(f"{tmp_path}/snapshots/erofs/l") == ["by-chain"]


def _killed_at(moment: str, place) -> None:
    """While the tar is on its way; when its index is made; while the file becomes whole; at the
    very call that would make it visible."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    making = ErofsLayers(f"{place}").making()
    if moment == "publish":
        os.symlink = die
    elif moment != "writing":
        setattr(making, moment, die)
    with archiving.new_layer(content.FileStore(f"{place}"), making=making) as writing:
        writer = writing.tar()
        for number in range(9):
            writer.add(tar.Entry(f"{number}"), b"x" * (1 << 20))
            if number == 5 and moment == "writing":
                die()
        writer.finish()
        writing.finish()
    making.publish("sha256:top", None)
