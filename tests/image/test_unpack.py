"""A layer on the disk is what its tar says: contents, attributes, whiteouts."""

import os
import stat
import subprocess
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .archives import END, archive, member, padded, raw_header
from .test_unpack_traps import names

CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)  # cap_net_bind_service=ep
OPAQUE = "trusted.overlay.opaque"


@pytest.fixture
def place(tmp_path):
    return tmp_path


def is_whiteout(path):
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path):
    return OPAQUE in os.listxattr(path)


# -- whiteouts


def test_a_whiteout_is_a_device(place, put):
    put(place, archive(member("a/.wh.gone")))
    assert names(place) == ["a", "a/gone"]
    assert is_whiteout(place / "a/gone")


@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "device", "fifo"])
def test_a_whiteout_of_any_kind(place, kind, put):
    put(place, archive(member(".wh.gone", kind, link="x")))
    assert names(place) == ["gone"]
    assert is_whiteout(place / "gone")


@pytest.mark.parametrize("order", [1, -1])
def test_an_opaque_marker_before_and_after_its_siblings(place, order, put):
    marker, sibling = member("d/.wh..wh..opq"), member("d/f", data=b"x")
    put(place, archive(*[member("d", "directory"), marker, sibling][::order]))
    assert is_opaque(place / "d")
    assert names(place) == ["d", "d/f"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_does_not_hide_its_own_layers_file(place, order, put):
    put(place, archive(*[member(".wh.f"), member("f", data=b"x")][::order]))
    assert (place / "f").read_bytes() == b"x"


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_beside_a_directory_hides_the_lower_directory_only(place, order, put):
    put(place, archive(*[member(".wh.d"), member("d", "directory")][::order]))
    assert (place / "d").is_dir()
    assert is_opaque(place / "d")


def test_a_whiteout_above_a_file_hides_the_lower_directory_only(place, put):
    put(place, archive(member(".wh.d"), member("d/f", data=b"x")))
    assert names(place) == ["d", "d/f"]
    assert is_opaque(place / "d")


def test_names_that_aufs_left_are_passed_over(place, put):
    put(place, archive(member(".wh..wh.aufs"), member(".wh..wh.plnk", "directory")))
    assert names(place) == []


def test_without_whiteouts_they_are_names_like_others(place, put):
    put(place, archive(member(".wh.x"), member(".wh..wh..opq")), whiteouts=False)
    assert names(place) == [".wh..wh..opq", ".wh.x"]
    assert not is_opaque(place)


def test_an_image_does_not_speak_to_overlayfs(place, put):
    put(place, archive(member("d", "directory", xattrs={OPAQUE: "y", "user.mine": "1"})))
    assert os.listxattr(place / "d") == ["user.mine"]


# -- attributes


def test_directories_keep_their_times_when_files_come_later(place, put):
    put(
        place,
        archive(
            member(".", "directory", mtime=4),
            member("a", "directory", mtime=5),
            member("a/b", "directory", mtime=6.25),
            member("a/b/f", mtime=7),
            member("a/g", mtime=8),
            member("a/.wh.x"),
        ),
    )
    found = [os.stat(place / p).st_mtime for p in (".", "a", "a/b", "a/b/f", "a/g")]
    assert found == [4, 5, 6.25, 7, 8]


def test_a_time_before_1970(place, put):
    put(place, archive(member("f", mtime=-1.5)))
    assert os.stat(place / "f").st_mtime_ns == -1_500_000_000


@pytest.mark.parametrize("kind", ["file", "directory", "device"])
def test_setuid_survives_the_change_of_owner(place, kind, put):
    put(place, archive(member("f", kind, mode=0o6755, uid=33, gid=44)))
    status = os.stat(place / "f")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o6755, 33, 44)


def test_a_setgid_directory_does_not_give_its_group(place, put):
    put(
        place,
        archive(
            member("mail", "directory", mode=0o2775, gid=8),
            member("mail/f"),
            member("mail/d", "directory"),
            member("mail/l", "symlink", link="x"),
        ),
    )
    assert [os.lstat(place / "mail" / n).st_gid for n in "fdl"] == [0, 0, 0]
    assert stat.S_IMODE(os.stat(place / "mail/d").st_mode) == 0o755


def test_the_umask_does_not_count(place, put):
    old = os.umask(0o077)
    try:
        put(place, archive(member("f", mode=0o666), member("d", "directory", mode=0o1777)))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(os.stat(place / name).st_mode) for name in "fd"]
    assert modes == [0o666, 0o1777]


def test_extended_attributes(tmp_path, put):
    put(
        tmp_path,
        archive(
            member("f", xattrs={"user.note": "é"}, uid=5),
            member("d", "directory", xattrs={"user.empty": ""}),
        ),
    )
    assert os.getxattr(tmp_path / "f", "user.note") == "é".encode()
    assert os.getxattr(tmp_path / "d", "user.empty") == b""


def test_file_capabilities(place, put):
    text = b"SCHILY.xattr.security.capability=" + CAPABILITY + b"\n"
    record = b"%d " % (len(text) + 3) + text
    header = raw_header(b"x", b"x", b"%011o\0" % len(record)) + padded(record)
    put(place, header + raw_header(b"f", at_108=b"0000005\0") + END)
    assert os.getxattr(place / "f", "security.capability") == CAPABILITY


def test_special_files(place, put):
    put(
        place,
        archive(
            member("p", "fifo", mode=0o620, gid=5),
            member("c", "device", devmajor=1, devminor=3, mode=0o666),
            member("b", "block", devmajor=7, devminor=300),
            member("l", "symlink", link="nowhere", uid=9, mtime=5),
        ),
    )
    p, c, b, link = (os.lstat(place / name) for name in "pcbl")
    assert stat.S_ISFIFO(p.st_mode) and stat.S_IMODE(p.st_mode) == 0o620 and p.st_gid == 5
    assert stat.S_ISCHR(c.st_mode) and c.st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK(b.st_mode) and b.st_rdev == os.makedev(7, 300)
    assert (os.readlink(place / "l"), link.st_uid, link.st_mtime) == ("nowhere", 9, 5)


# -- forms


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_large_numbers(place, form, put):
    long = "/".join(["x" * 90] * 3)
    put(
        place,
        archive(
            member(long, data=b"1", uid=3_000_000, gid=4_000_000_000),
            member("l", "symlink", link=long),
            member("h", "hard link", link=long),
            form=form,
        ),
    )
    status = os.stat(place / long)
    assert (status.st_uid, status.st_gid, status.st_nlink) == (3_000_000, 4_000_000_000, 2)
    assert os.readlink(place / "l") == long


def test_a_long_name_whose_header_is_cut_at_a_slash(place, put):
    name = "a" * 99 + "/file"  # PAX: the header has its first 100 bytes
    put(place, archive(member(name, data=b"it is no directory")))
    assert (place / name).read_bytes() == b"it is no directory"


def test_the_ustar_prefix(place, put):
    long = "/".join(["x" * 60] * 3)
    put(place, archive(member(long), form=tarfile.USTAR_FORMAT))
    assert (place / long).exists()


def test_a_size_in_base_256(place, put):
    size = b"\x80" + (3).to_bytes(11, "big")
    put(place, raw_header(b"f", b"0", size) + padded(b"abc") + raw_header(b"g") + END)
    assert (place / "f").read_bytes() == b"abc"
    assert names(place) == ["f", "g"]


def test_a_checksum_of_signed_bytes(place, put):
    header = bytearray(raw_header(b"\xe9"))
    header[148:156] = b"%06o\0 " % (int(header[148:154], 8) - 256)
    put(place, bytes(header) + END)
    assert os.listdir(os.fsencode(place)) == [b"\xe9"]


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files(tmp_path, form, put):
    """As GNU tar writes them; it is also asked whether it reads the same."""
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "holes", "wb") as file:
        for piece in range(60):  # more than old headers hold
            file.seek(piece * 65536)
            file.write(b"%04d" % piece * 1024)
        file.truncate(60 * 65536 + 12345)
    with open(source / "empty", "wb") as file:
        file.truncate(1 << 20)
    (source / "after").write_text("after")
    options = ["--format=gnu"] if form == "gnu" else ["--format=pax", f"--sparse-version={form}"]
    tar = ["tar", "-C", source, "-S", *options, "-c", "holes", "empty", "after"]
    data = subprocess.run(tar, check=True, capture_output=True).stdout
    assert len(data) < 1 << 20
    (tmp_path / "place").mkdir()
    put(tmp_path / "place", data)
    for name in ("holes", "empty", "after"):
        assert (tmp_path / "place" / name).read_bytes() == (source / name).read_bytes()
    if put.has_holes:
        assert os.stat(tmp_path / "place" / "empty").st_blocks == 0


# -- beside GNU tar

PARTS = st.sampled_from(["a", "b", "c", "é", "x y", "n" * 110])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
OWNERS = st.sampled_from([0, 1000, 3_000_000])
TIMES = st.sampled_from([0, 1_600_000_000_123_456_789, 5 * 10**9, 2**33 * 10**9])
ENTRIES = st.tuples(
    PATHS,
    st.sampled_from(["file", "directory", "symlink", "hard link", "fifo", "device"]),
    st.binary(max_size=1500),
    st.sampled_from([0o644, 0o755, 0o4755, 0o2771, 0o1777, 0o400]),
    OWNERS,
    OWNERS,
    TIMES,
    st.sampled_from(["", "value"]),
)


def build(root, entries):
    """A tree on the disk; an entry that does not fit where it should go is left out."""
    files, made = [], []
    for name, kind, data, mode, uid, gid, mtime, note in entries:
        path = f"{root}/{name}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "file":
                with open(path, "xb") as file:
                    file.write(data)
                files.append(path)
            elif kind == "hard link":
                os.link(files[-1] if files else "/no/such", path)
                continue
            elif kind == "directory":
                os.mkdir(path)
            elif kind == "symlink":
                os.symlink(name, path)
            else:
                os.mknod(path, stat.S_IFIFO if kind == "fifo" else stat.S_IFCHR, 0x103)
        except OSError:
            continue
        made.append((path, kind, mode, uid, gid, mtime, note))
    for path, kind, mode, uid, gid, mtime, note in reversed(made):
        os.chown(path, uid, gid, follow_symlinks=False)
        if kind != "symlink":
            os.chmod(path, mode)
        if note and kind in ("file", "directory"):
            os.setxattr(path, "user.note", note.encode())
        os.utime(path, ns=(mtime, mtime), follow_symlinks=False)


def shape(root):
    """All that a container could notice of a tree."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in [".", *directories, *files]:
            path = f"{directory}/{name}"
            s = os.lstat(path)
            inside = os.path.relpath(path, root)
            content = b""
            if stat.S_ISREG(s.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(s.st_mode):
                content = os.readlink(os.fsencode(path))
            note = {} if stat.S_ISLNK(s.st_mode) else {
                n: os.getxattr(path, n) for n in os.listxattr(path)
            }  # fmt: skip
            links = s.st_nlink if not stat.S_ISDIR(s.st_mode) else 0
            found[inside] = (
                s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_rdev, links, content, note,
            )  # fmt: skip
    return found


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=st.lists(ENTRIES, min_size=1, max_size=20), form=st.sampled_from(["pax", "gnu"]))
def test_trees_come_out_as_gnu_tar_unpacks_them(tmp_path_factory, entries, form, put):
    base = tmp_path_factory.mktemp("tree")
    for name in ("source", "theirs", "ours"):
        (base / name).mkdir()
    build(base / "source", entries)
    options = ["--format=pax", "--xattrs", "--xattrs-include=*"] if form == "pax" else []
    pack = ["tar", "-C", base / "source", *(options or ["--format=gnu"]), "-c", "."]
    data = subprocess.run(pack, check=True, capture_output=True).stdout
    extract = ["tar", "-C", base / "theirs", "-xp", "--same-owner", *options[1:]]
    subprocess.run(extract, input=data, check=True, capture_output=True)
    put(base / "ours", data)
    assert shape(base / "ours") == shape(base / "theirs")
