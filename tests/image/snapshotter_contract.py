"""What every snapshotter promises. Subclass it, provide `snapshots`, inherit the tests."""

import fcntl
import hashlib
import io
import os
import shutil
import stat
import tarfile
import threading

import pytest

from sampan.image import tar
from sampan.image import unpack as unpacking
from sampan.image.snapshots import Change, SnapshotNotFound
from sampan.kit import errors
from sampan.linux.mount import MS, mount

from .archives import archive, member
from .test_unpack import shape


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


BASE = archive(
    member(".", "directory", mode=0o755, mtime=5),
    member("etc", "directory"),
    member("etc/passwd", data=b"root"),
    member("etc/group", data=b"wheel"),
    member("old", "directory"),
    member("old/a", data=b"a"),
    member("old/b", data=b"b"),
    member("gone/x", data=b"x"),
    member("bin/tool", data=b"#!", mode=0o4755),
    member("bin/same", "hard link", link="bin/tool"),
    member("becomes-a-directory", data=b"file"),
)
TOP = archive(
    member("old", "directory"),
    member("old/.wh..wh..opq"),
    member("old/c", data=b"c"),
    member(".wh.gone"),
    member("etc/.wh.group"),
    member("etc/shadow", data=b"secret", mode=0o600),
    member("becomes-a-directory/f", data=b"inside"),
    member(".wh.becomes-a-directory"),
)
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
SEEN = [
    "becomes-a-directory", "becomes-a-directory/f", "bin", "bin/same", "bin/tool", "etc",
    "etc/passwd", "etc/shadow", "old", "old/c",
]  # fmt: skip


def put_layers(snapshots, *layers):
    """Unpack a stack; its chain ids are `sha256:1111…`, `sha256:2222…`"""
    parent = None
    for number, data in enumerate(layers, 1):
        chain = f"sha256:{str(number) * 64}"
        snapshots.unpack(chain, parent, io.BytesIO(data), sha(data))
        parent = chain
    return parent


def inside(path):
    return sorted(
        os.path.relpath(f"{d}/{n}", path)
        for d, directories, files in os.walk(path)
        for n in directories + files
    )


def change(root):
    """What a container might do to its files."""
    with open(f"{root}/etc/passwd", "a") as file:
        file.write("+user")
    os.unlink(f"{root}/etc/shadow")
    os.makedirs(f"{root}/new/deep")
    with open(f"{root}/new/deep/file", "w") as file:
        file.write("new")
    os.link(f"{root}/new/deep/file", f"{root}/new/link")
    os.unlink(f"{root}/old/c")
    os.rmdir(f"{root}/old")
    os.mkdir(f"{root}/old")
    with open(f"{root}/old/d", "w") as file:
        file.write("d")
    os.chown(f"{root}/bin/tool", 7, 7)
    os.chmod(f"{root}/bin/tool", 0o4755)
    shutil.move(f"{root}/becomes-a-directory", f"{root}/renamed")
    os.setxattr(f"{root}/new", "user.note", b"1")
    os.symlink("/etc", f"{root}/new/l")
    os.mkfifo(f"{root}/new/p")


@pytest.mark.needs("mount")
class SnapshotterContract:
    @pytest.fixture
    def at(self, tmp_path, own_mounts):
        """Run a body with some mounts in place; it gets the path. What it returns is lost."""
        place = tmp_path / "mounted"
        place.mkdir()

        def run(mounts, body):
            def mounted():
                for one in mounts:
                    read_only = MS.RDONLY if "ro" in one.options else 0
                    if one.type == "bind":
                        mount(one.source, str(place), None, MS.BIND | MS.REC)
                        if read_only:
                            flags = MS.BIND | MS.REMOUNT | MS.RDONLY
                            mount(None, str(place), None, flags)
                    else:
                        data = ",".join(o for o in one.options if o != "ro")
                        mount(one.source, str(place), one.type, read_only, data)
                body(str(place))

            own_mounts(mounted)

        return run

    def test_layers_are_stacked(self, snapshots, at):
        snapshots.prepare("c1", put_layers(snapshots, BASE, TOP))

        def body(root):
            assert inside(root) == SEEN
            with open(f"{root}/etc/passwd") as file:
                assert file.read() == "root"
            assert stat.S_IMODE(os.stat(root).st_mode) == 0o755
            assert stat.S_IMODE(os.stat(f"{root}/bin/tool").st_mode) == 0o4755

        at(snapshots.mounts("c1"), body)

    def test_a_view_cannot_be_written(self, snapshots, at):
        def body(root):
            assert inside(root) == SEEN
            with pytest.raises(OSError, match="Read-only"):
                os.mkdir(f"{root}/x")

        at(snapshots.view(put_layers(snapshots, BASE, TOP)), body)

    def test_nothing_below(self, snapshots, at):
        at(snapshots.view(None), lambda root: inside(root) == [] or pytest.fail("not empty"))
        snapshots.prepare("c1", None)
        at(snapshots.mounts("c1"), lambda root: os.mkdir(f"{root}/x"))
        assert snapshots.changes("c1") == [Change(path="/x", kind=1)]

    def test_layers_may_come_in_any_order(self, snapshots, at):
        snapshots.unpack(TWO, ONE, io.BytesIO(TOP), sha(TOP))
        with pytest.raises(SnapshotNotFound, match=ONE):
            snapshots.prepare("c1", TWO)
        snapshots.unpack(ONE, None, io.BytesIO(BASE), sha(BASE))
        snapshots.prepare("c1", TWO)
        at(snapshots.mounts("c1"), lambda root: os.stat(f"{root}/etc/passwd"))

    def test_an_opaque_root_hides_all_below(self, snapshots, at):
        top = archive(member(".wh..wh..opq"), member("only"))
        snapshots.prepare("c1", put_layers(snapshots, BASE, top))

        def body(root):
            assert inside(root) == ["only"]

        at(snapshots.mounts("c1"), body)

    def test_many_layers(self, snapshots, at):
        layers = [archive(member(f"f{n}"), member("same", data=b"%d" % n)) for n in range(9)]
        snapshots.prepare("c1", put_layers(snapshots, *layers))

        def body(root):
            assert len(inside(root)) == 10
            with open(f"{root}/same") as file:
                assert file.read() == "8"

        at(snapshots.mounts("c1"), body)

    def test_containers_do_not_see_each_other(self, snapshots, at):
        chain = put_layers(snapshots, BASE, TOP)
        for key in ("c1", "c2"):
            snapshots.prepare(key, chain)
        at(snapshots.mounts("c1"), change)
        at(snapshots.mounts("c2"), lambda root: inside(root) == SEEN or pytest.fail("changed"))
        assert snapshots.changes("c2") == []
        assert set(snapshots.keys()) == {"c1", "c2"}

    def test_changes(self, snapshots, at):
        snapshots.prepare("c1", put_layers(snapshots, BASE, TOP))
        assert snapshots.changes("c1") == []
        at(snapshots.mounts("c1"), change)
        found = {c.path: c.kind for c in snapshots.changes("c1")}
        assert len(found) == len(snapshots.changes("c1"))
        old = {found.pop("/old"), found.pop("/old/c", 2)}
        assert old == {0, 2}
        assert found == {
            "/etc": 0, "/etc/passwd": 0, "/etc/shadow": 2, "/new": 1, "/new/deep": 1,
            "/new/deep/file": 1, "/new/link": 1, "/new/l": 1, "/new/p": 1, "/old/d": 1,
            "/bin": 0, "/bin/tool": 0, "/becomes-a-directory": 2, "/renamed": 1, "/renamed/f": 1,
        } | ({"/bin/same": 0} if "/bin/same" in found else {})  # fmt: skip

    def test_a_diff_makes_the_same_tree_again(self, snapshots, at, tmp_path):
        parent = put_layers(snapshots, BASE, TOP)
        snapshots.prepare("c1", parent)
        at(snapshots.mounts("c1"), change)
        packed = io.BytesIO()
        snapshots.diff("c1", tar.Writer(packed.write))
        third = "sha256:" + "3" * 64
        snapshots.unpack(third, parent, io.BytesIO(packed.getvalue()), sha(packed.getvalue()))

        def keep(name):
            def body(root):
                found = {p: traits for p, traits in shape(root).items() if p != "."}
                (tmp_path / name).write_text("\n".join(map(repr, sorted(found.items()))))

            return body

        at(snapshots.mounts("c1"), keep("changed"))
        at(snapshots.view(third), keep("again"))
        changed, again = ((tmp_path / n).read_text().split("\n") for n in ("changed", "again"))
        assert again == changed

    def test_a_diff_has_what_changed_and_no_more(self, snapshots, at):
        snapshots.prepare("c1", put_layers(snapshots, BASE, TOP))

        def body(root):
            os.unlink(f"{root}/etc/passwd")
            with open(f"{root}/f", "w") as file:
                file.write("f")

        at(snapshots.mounts("c1"), body)
        packed = io.BytesIO()
        snapshots.diff("c1", tar.Writer(packed.write))
        packed.seek(0)
        with tarfile.open(fileobj=packed) as plain:
            assert sorted(plain.getnames()) == ["etc", "etc/.wh.passwd", "f"]

    def test_sizes(self, snapshots, at):
        chain = put_layers(snapshots, BASE, TOP)
        assert snapshots.layer_size(ONE) == len("rootwheelabx#!file")
        snapshots.prepare("c1", chain)
        before = snapshots.usage("c1")

        def body(root):
            with open(f"{root}/f", "wb") as file:
                file.write(bytes(1000))

        at(snapshots.mounts("c1"), body)
        after = snapshots.usage("c1")
        assert (after.size - before.size, after.inodes - before.inodes) == (1000, 1)

    def test_removed_is_gone(self, snapshots, at, tmp_path):
        chain = put_layers(snapshots, BASE, TOP)
        snapshots.prepare("c1", chain)

        def deep(root):
            os.chdir(root)
            for _ in range(1200):
                os.mkdir("d")
                os.chdir("d")

        at(snapshots.mounts("c1"), deep)
        snapshots.remove("c1")
        snapshots.remove("c1")
        assert list(snapshots.keys()) == []
        with pytest.raises(SnapshotNotFound):
            snapshots.mounts("c1")
        assert not list(tmp_path.rglob("d"))

    def test_removed_layers_are_gone(self, snapshots):
        put_layers(snapshots, BASE, TOP)
        assert set(snapshots.layers()) == {ONE, TWO}
        snapshots.remove_layer(TWO)
        snapshots.remove_layer(TWO)
        assert list(snapshots.layers()) == [ONE]
        assert not snapshots.has(TWO)
        with pytest.raises(SnapshotNotFound):
            snapshots.prepare("c1", TWO)
        assert list(snapshots.keys()) == []

    def test_a_layer_that_is_not_what_it_should_be_leaves_nothing(self, snapshots, tmp_path):
        before = inside(tmp_path)
        with pytest.raises(unpacking.DiffIdMismatch):
            snapshots.unpack(ONE, None, io.BytesIO(BASE), sha(TOP))
        with pytest.raises(errors.InvalidArgument):
            snapshots.unpack(ONE, None, io.BytesIO(BASE[:3000]), sha(BASE))
        assert inside(tmp_path) == before
        assert not snapshots.has(ONE)

    def test_one_layer_unpacked_by_several_at_once(self, snapshots, at, tmp_path):
        results, barrier = [], threading.Barrier(4)

        def one():
            barrier.wait()
            results.append(snapshots.unpack(ONE, None, io.BytesIO(BASE), sha(BASE)))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [result.diff_id for result in results] == [sha(BASE)] * 4
        assert list(snapshots.layers()) == [ONE]
        (place,) = [p.parent for p in tmp_path.rglob("by-chain")]
        assert len(list(place.iterdir())) == 2  # one layer, and by-chain

    def test_what_a_crash_left_is_collected(self, snapshots, tmp_path):
        put_layers(snapshots, BASE)
        (place,) = [p.parent for p in tmp_path.rglob("by-chain")]
        left, busy = place / "77", place / "78"
        for path in (left, busy):
            (path / "fs" / "etc").mkdir(parents=True)
        lock = os.open(busy, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        snapshots.collect()
        assert not left.exists()
        assert busy.exists()
        os.close(lock)
        snapshots.collect()
        assert not busy.exists()
        assert snapshots.has(ONE)
        assert len(list(place.iterdir())) == 2
