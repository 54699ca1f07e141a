"""`/sampan/volumes`: export, import, clone, snapshot keep all that belongs to a file."""

from __future__ import annotations

import io
import os
import signal
import tarfile
from pathlib import Path

import pytest

from tests.dockerapi.test_volumes import delete, make
from tests.engine_process import Engine
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount")


def fill(place: str) -> None:
    """A directory of its own owner with a file, its twin, a link and an extended attribute."""
    os.chown(place, 5, 6)
    os.chmod(place, 0o2750)
    (deep := Path(place, "deep")).mkdir(mode=0o711)
    (file := deep / "file").write_text("text")
    os.chown(file, 12, 34)
    os.chmod(file, 0o4755)
    os.setxattr(file, "user.note", b"kept")
    os.link(file, Path(place, "twin"))
    os.symlink("/etc/passwd", Path(place, "soft"))
    Path(place, ".wh.not-hidden").write_text("a name like any other")


def require_same(place: str) -> None:
    top, deep = os.stat(place), os.stat(f"{place}/deep")
    assert (top.st_uid, top.st_gid, top.st_mode & 0o7777) == (5, 6, 0o2750)
    assert deep.st_mode & 0o777 == 0o711
    status = os.stat(f"{place}/deep/file")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12, 34, 0o4755)
    assert status.st_ino == os.stat(f"{place}/twin").st_ino
    assert os.getxattr(f"{place}/deep/file", "user.note") == b"kept"
    assert os.readlink(f"{place}/soft") == "/etc/passwd"
    assert sorted(os.listdir(place)) == [".wh.not-hidden", "deep", "soft", "twin"]


def test_out_and_in_again(engine: Engine) -> None:
    fill(make(engine, "source")["Mountpoint"])
    status, archive = engine.request("GET", "/sampan/volumes/source/export")
    assert status == 200
    status, made = engine.request("POST", "/sampan/volumes/restored/import", archive)
    assert status == 201, made
    require_same(made["Mountpoint"])
    status, answer = engine.request("POST", "/sampan/volumes/restored/import", archive)
    assert (status, "volume restored is not empty" in answer["message"]) == (409, True)
    require_same(made["Mountpoint"])
    delete(engine, volume="source")
    delete(engine, volume="restored")


@pytest.mark.parametrize("verb", ["clone", "snapshot"])
def test_a_copy_is_another_volume(engine: Engine, verb: str) -> None:
    source = make(engine, "source")
    fill(source["Mountpoint"])
    status, made = engine.request("POST", f"/sampan/volumes/source/{verb}?to=copy")
    assert status == 201, made
    require_same(made["Mountpoint"])
    of = {"sampan.snapshot.of": "source"} if verb == "snapshot" else {}
    assert made["Labels"] == {"made": "here", **of}
    Path(made["Mountpoint"], "twin").write_text("changed")
    assert Path(source["Mountpoint"], "twin").read_text() == "text"
    status, answer = engine.request("POST", f"/sampan/volumes/source/{verb}?to=copy")
    assert (status, answer["message"]) == (409, "volume copy exists already")
    delete(engine, volume="source")
    delete(engine, volume="copy")


def test_who_writes_is_paused_and_goes_on(engine: Engine) -> None:
    place = make(engine, "busy")["Mountpoint"]
    script = "while :; do echo x >> /v/a; echo x >> /v/b; done"
    writer = engine.run("sh", "-c", script, HostConfig={"Binds": ["busy:/v"]})
    until(Path(place, "b").exists)
    status, archive = engine.request("GET", "/sampan/volumes/busy/export")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        a, b = (tar.getmember(f"./{name}").size for name in "ab")
    assert a - b in (0, 2)  # of one moment
    assert engine.inspect(writer)["State"]["Status"] == "running"
    delete(engine, writer, volume="busy")


def test_a_volume_that_is_not_mounted_is_mounted_for_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    bound = make(engine, "bound", type="none", device=str(tmp_path), o="bind")
    status, made = engine.request("POST", "/sampan/volumes/bound/clone?to=copy")
    assert status == 201, made
    assert Path(made["Mountpoint"], "file").read_text() == "there"
    assert made["Options"] is None
    assert not os.path.ismount(bound["Mountpoint"])
    delete(engine, volume="bound")
    delete(engine, volume="copy")
    assert (tmp_path / "file").exists()


def test_what_is_no_archive_leaves_nothing(engine: Engine) -> None:
    status, answer = engine.request("POST", "/sampan/volumes/bad/import", b"x" * 1024)
    assert status == 400, answer
    assert engine.request("GET", "/volumes/bad")[0] == 404
    make(engine, "empty")
    assert engine.request("POST", "/sampan/volumes/empty/import", b"x" * 1024)[0] == 400
    assert os.listdir(engine.request("GET", "/volumes/empty")[1]["Mountpoint"]) == []
    delete(engine, volume="empty")
    assert engine.request("GET", "/sampan/volumes/nosuch/export")[0] == 404


class Held:
    """An export whose reader waits: the engine is in the middle of it."""

    def __init__(self, engine: Engine, volume: str) -> None:
        self.socket = engine.connect()
        path = f"/sampan/volumes/{volume}/export"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.head = self.socket.recv(64)

    def finish(self) -> None:
        while not self.socket.recv(1 << 20).endswith(b"0\r\n\r\n"):
            pass
        self.socket.close()


def writer_on(engine: Engine, *volumes: str) -> str:
    for name in volumes:
        Path(make(engine, name)["Mountpoint"], "large").write_bytes(os.urandom(8 << 20))
    return engine.run("sleep", "600", HostConfig={"Binds": [f"{name}:/{name}" for name in volumes]})


def test_who_was_paused_goes_on_when_the_engine_is_killed(own_engine: Engine) -> None:
    writer = writer_on(own_engine, "busy")
    export = Held(own_engine, "busy")
    assert export.head.startswith(b"HTTP/1.1 200")
    assert own_engine.inspect(writer)["State"]["Paused"]
    own_engine.stop(signal.SIGKILL)
    export.socket.close()
    own_engine.start()
    state = own_engine.inspect(writer)["State"]
    assert (state["Running"], state["Paused"]) == (True, False)
    assert own_engine.request("POST", f"/containers/{writer}/kill")[0] == 204
    own_engine.wait(writer)


def test_a_writer_rests_until_the_last_export_is_done(engine: Engine) -> None:
    writer = writer_on(engine, "one", "two")
    first = Held(engine, "one")
    assert engine.request("GET", "/sampan/volumes/two/export")[0] == 200
    assert engine.inspect(writer)["State"]["Paused"]
    first.finish()
    until(lambda: not engine.inspect(writer)["State"]["Paused"])
    engine.request("POST", f"/containers/{writer}/kill")
    engine.wait(writer)
    delete(engine, writer)
    delete(engine, volume="one")
    delete(engine, volume="two")


def test_who_was_paused_by_the_user_stays_so(engine: Engine) -> None:
    writer = writer_on(engine, "one")
    engine.request("POST", f"/containers/{writer}/pause")
    assert engine.request("GET", "/sampan/volumes/one/export")[0] == 200
    assert engine.inspect(writer)["State"]["Paused"]
    delete(engine, writer)
    delete(engine, volume="one")
