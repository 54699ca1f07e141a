"""docker cp and export, seen from the descriptors."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import threading

import pytest

from sampan.linux import unix
from sampan.shim import protocol
from tests.shim.engine import PATIENCE


@pytest.fixture
def archive(paths):
    """Send one request; the answers, and what came out of the pipe."""

    def archive(action: str, path: str = "/", data: bytes = b"", **more) -> tuple[list, bytes]:
        sock = unix.connect(paths.spawner_socket)
        sock.settimeout(PATIENCE)
        reader, writer = os.pipe()
        theirs, ours = (reader, writer) if action == "put" else (writer, reader)
        request = protocol.Archive(action=action, path=path, **more)
        unix.send(sock, request.message(), [theirs])
        os.close(theirs)
        out: list[bytes] = []
        if action == "put":
            thread = threading.Thread(target=feed, args=(ours, data))
        else:
            thread = threading.Thread(target=lambda: out.append(read_all(ours)))
        thread.start()
        answers = []
        while (message := unix.receive(sock)[0]) is not None:
            answers.append(message)
        thread.join()
        sock.close()
        return answers, b"".join(out)

    return archive


def feed(fd: int, data: bytes) -> None:
    try:
        with open(fd, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        pass


def read_all(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def tar_of(*entries: tuple[str, bytes | None]) -> bytes:
    """Files, and directories (None)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.uid = info.gid = 7
            info.mtime = 1_000_000_000
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return out.getvalue()


@pytest.fixture
def pid(start):
    """A container with a tmpfs of its own at /tmp, seen only through its mount namespace."""
    from tests.shim.conftest import oci_config

    config = oci_config(["sleep", "1000"])
    mount = {
        "destination": "/tmp",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["mode=1777"],
    }
    config["mounts"].append(mount)
    return start([], config=config).pid


def test_stat_has_gos_mode_bits_and_resolves_links(archive, pid) -> None:
    answers, _ = archive("stat", "/tmp", pid=pid)
    assert answers[0]["stat"]["name"] == "tmp"
    assert answers[0]["stat"]["mode"] == 1 << 31 | 1 << 20 | 0o777
    assert answers[0]["stat"]["mtime"].endswith("Z")
    answers, _ = archive("stat", "bin/cat", pid=pid)
    assert answers[0]["stat"]["mode"] == 1 << 27 | 0o777
    assert answers[0]["stat"]["linkTarget"] == "/bin/busybox"


def test_put_and_get_inside_the_containers_own_mounts(archive, pid, rootfs) -> None:
    data = tar_of(("d", None), ("d/file", b"content"))
    assert archive("put", "/tmp", data, pid=pid)[0] == [{"ok": True}]
    assert os.listdir(f"{rootfs}/tmp") == []
    answers, out = archive("get", "/tmp/d", pid=pid)
    assert answers[0]["stat"]["name"] == "d" and answers[1] == {"ok": True}
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert tar.getnames() == ["d", "d/file"]
        member = tar.getmember("d/file")
        assert (member.uid, member.mtime) == (7, 1_000_000_000)
        assert tar.extractfile(member).read() == b"content"
    assert names(archive("get", "/tmp/d/.", pid=pid)[1]) == [".", "./file"]


def test_put_can_give_everything_to_one_owner(archive, pid) -> None:
    archive("put", "/tmp", tar_of(("f", b"x")), pid=pid, owner=(12, 34))
    _, out = archive("get", "/tmp/f", pid=pid)
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        assert (tar.getmember("f").uid, tar.getmember("f").gid) == (12, 34)


def test_a_link_that_leads_out_stays_inside(archive, pid, tmp_path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, f"../../../../..{tmp_path}"
        tar.addfile(link)
    archive("put", "/", tar_of((str(tmp_path), None)), pid=pid)  # the link's end in the container
    archive("put", "/tmp", out.getvalue(), pid=pid)
    archive("put", "/tmp", tar_of(("link/escaped", b"x")), pid=pid)
    assert os.listdir(tmp_path) == []
    assert archive("get", "/tmp/link/escaped", pid=pid)[0][-1] == {"ok": True}


def test_kinds_are_kept_where_asked(archive, pid) -> None:
    archive("put", "/tmp", tar_of(("d", None), ("f", b"x")), pid=pid)
    for data, words in (
        (tar_of(("d", b"x")), "cannot overwrite directory"),
        (tar_of(("f", None)), "cannot overwrite non-directory"),
    ):
        answers, _ = archive("put", "/tmp", data, pid=pid, no_overwrite_dir_non_dir=True)
        assert words in answers[0]["message"]
        assert archive("put", "/tmp", data, pid=pid)[0] == [{"ok": True}]


@pytest.mark.parametrize(
    ("action", "path", "kind"),
    [
        ("stat", "/none", "NotFound"),
        ("get", "/none/x", "NotFound"),
        ("put", "/none", "NotFound"),
        ("put", "/bin/busybox", "InvalidArgument"),
        ("stat", "/bin/busybox/", "InvalidArgument"),
    ],
)
def test_errors_have_a_kind_and_the_path(archive, pid, action, path, kind) -> None:
    answers, _ = archive(action, path, pid=pid)
    assert answers[0]["kind"] == kind
    assert path.rstrip("/").rpartition("/x")[0] in answers[0]["message"]


def test_export_is_the_root_file_system_without_mounts(archive, pid) -> None:
    archive("put", "/tmp", tar_of(("hidden", b"x")), pid=pid)
    answers, out = archive("export", pid=pid)
    assert answers == [{"ok": True}]
    found = names(out)
    assert "bin/busybox" in found and "tmp" in found
    assert not [name for name in found if name.startswith(("tmp/", "./proc/", "./dev/"))]


def test_a_stopped_containers_files_are_mounted_for_it(archive, rootfs, tmp_path) -> None:
    for name in ("upper", "work", "root"):
        os.mkdir(tmp_path / name)
    options = [f"lowerdir={rootfs}", f"upperdir={tmp_path}/upper", f"workdir={tmp_path}/work"]
    stopped = {
        "rootfs": ({"type": "overlay", "source": "overlay", "options": options},),
        "root_path": f"{tmp_path}/root",
    }
    assert archive("put", "/etc", tar_of(("new", b"x")), **stopped)[0] == [{"ok": True}]
    assert os.listdir(tmp_path / "upper/etc") == ["new"]
    assert os.listdir(tmp_path / "root") == []
    assert "etc/new" in names(archive("export", **stopped)[1])


def takes_notes(directory: str) -> bool:
    """A tmpfs has attributes of users since Linux 6.6."""
    try:
        os.setxattr(directory, "user.probe", b"")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return False
    os.removexattr(directory, "user.probe")
    return True


def test_attributes_links_and_modes_come_back(archive, pid) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        program = tarfile.TarInfo("deep/er/" + "long" * 40)
        program.mode, program.size = 0o4751, 70_000
        program.pax_headers = {"SCHILY.xattr.user.note": "kept"}
        tar.addfile(program, io.BytesIO(b"p" * 70_000))
        again = tarfile.TarInfo("deep/again")
        again.type, again.linkname = tarfile.LNKTYPE, program.name
        tar.addfile(again)
        fifo = tarfile.TarInfo("deep/fifo")
        fifo.type, fifo.mode = tarfile.FIFOTYPE, 0o620
        tar.addfile(fifo)
    assert archive("put", "/tmp", out.getvalue(), pid=pid)[0] == [{"ok": True}]
    _, back = archive("get", "/tmp/deep", pid=pid)
    with tarfile.open(fileobj=io.BytesIO(back)) as tar:
        assert tar.getmember("deep/er").mode == 0o755  # not in the archive: made on the way
        first, second = tar.getmember("deep/again"), tar.getmember(program.name)
        assert first.isreg() and first.mode == 0o4751 and first.size == 70_000
        if takes_notes(f"/proc/{pid}/root/tmp"):
            assert first.pax_headers["SCHILY.xattr.user.note"] == "kept"
        assert second.islnk() and second.linkname == "deep/again"
        assert tar.getmember("deep/fifo").isfifo()
        content = tar.extractfile(first)
        assert content is not None and content.read() == b"p" * 70_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tar_of(("../escaped", b"x")), "climbs out"),
        (b"no tar at all" * 100, "no tar archive"),
        (tar_of(("f", b"x" * 5000))[:3000], "ends in the middle"),
    ],
)
def test_bad_archives_are_refused(archive, pid, data, words) -> None:
    answers, _ = archive("put", "/tmp", data, pid=pid)
    assert answers[0]["kind"] == "InvalidArgument" and words in answers[0]["message"]
