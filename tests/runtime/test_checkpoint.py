"""`checkpoint` and `restore`: with a criu that works here, and what is refused without one."""

import os
import sys
import textwrap

import pytest

from sampan.linux import criu
from tests.conformance.test_oci_runtime import SAMPAN, Runtime

pytestmark = pytest.mark.needs("mount")


@pytest.fixture
def oci(tmp_path):
    made = Runtime(SAMPAN, tmp_path, "criu")
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


def started(oci, script="exec sleep 1000"):
    """Detached, with nothing of the host's among its descriptors (criu could not save it)."""
    container = oci.create("sh", "-c", f"exec </dev/null >/dev/null 2>&1; {script}")
    oci("start", container)
    return container


@pytest.fixture
def echo(oci):
    """A running container that answers in /tmp/out what is written to the pipe /tmp/in."""
    (oci.bundle / "host").mkdir()
    (oci.bundle / "host/file").write_text("of the host")
    bind = {"destination": "/etc/host", "source": "host", "options": ["bind"]}
    oci.config["mounts"].append(bind)
    for name in ("in", "out"):
        os.mkfifo(oci.rootfs / "tmp" / name)
    return started(oci, "n=0; while read l </tmp/in; do n=$((n+1)); echo $n $l >/tmp/out; done")


def ask(oci, text):
    (oci.rootfs / "tmp/in").write_text(f"{text}\n")
    return (oci.rootfs / "tmp/out").read_text().strip()


@pytest.mark.needs("criu")
@pytest.mark.parametrize("mode", ["soft", "ignore"])
def test_it_goes_on_where_it_was(oci, echo, mode, tmp_path):
    image = ("--image-path", str(tmp_path / "image"), "--manage-cgroups-mode", mode)
    assert ask(oci, "a") == "1 a"
    oci("checkpoint", *image, echo)
    assert "does not exist" in oci("state", echo, fails=True).stderr
    oci("restore", "--detach", *image, echo)
    assert ask(oci, "b") == "2 b"
    assert '"status": "running"' in oci("state", echo).stdout
    assert oci("exec", echo, "cat", "/etc/host/file").stdout == "of the host"
    assert f"/{echo}" in oci("exec", echo, "cat", "/proc/1/cgroup").stdout
    assert oci("exec", echo, "cat", "/proc/kcore", fails=True).stdout == ""


@pytest.mark.needs("criu")
def test_left_running(oci, echo, tmp_path):
    oci("checkpoint", "--leave-running", "--image-path", str(tmp_path / "image"), echo)
    assert ask(oci, "a") == "1 a"
    assert (tmp_path / "image/descriptors.json").exists()


@pytest.mark.needs("criu")
def test_restore_in_front_gives_the_exit_code(oci, tmp_path):
    os.mkfifo(oci.rootfs / "tmp/in")
    container = started(oci, "read code </tmp/in; exit $code")
    image = ("--image-path", str(tmp_path / "image"))
    oci("checkpoint", *image, container)
    if os.fork() == 0:
        (oci.rootfs / "tmp/in").write_text("7\n")
        os._exit(0)
    done = oci("restore", *image, container, fails=True)
    os.wait()
    assert (done.returncode, done.stderr) == (7, "")
    assert "does not exist" in oci("state", container, fails=True).stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--lazy-pages"], "--lazy-pages is not supported"),
        (["--manage-cgroups-mode", "odd"], "'odd' is none of ignore, soft, full, strict"),
        (["--empty-ns", "uts"], "--empty-ns: 'uts' is not network"),
        (["--parent-path", "/x"], "--parent-path: /x must be relative"),
        (["--parent-path", "not-there"], "--parent-path: not-there is no directory"),
        (["--page-server", "here"], "--page-server: 'here' is not ADDRESS:PORT"),
    ],
)
def test_what_is_refused(oci, options, sentence):
    container = started(oci)
    done = oci("checkpoint", *options, container, fails=True)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert '"status": "running"' in oci("state", container).stdout


def test_only_what_runs_is_saved(oci):
    container = oci.create("true")
    assert "that is created" in oci("checkpoint", container, fails=True).stderr


def test_without_criu(oci, monkeypatch, tmp_path):
    container = started(oci)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = oci("checkpoint", container, fails=True)
    assert "criu is not installed" in done.stderr
    monkeypatch.undo()
    assert '"status": "running"' in oci("state", container).stdout


def test_criu_s_own_reason_is_told(oci, monkeypatch, tmp_path):
    """A criu that asks once and then fails, as far as its wire is concerned."""
    container = started(oci)
    program = tmp_path / "criu"
    answer = (
        b"\x08\x06\x10\x01\x2a\x0a\x0a\x08pre-dump",
        b"\x08\x01\x10\x00\x38\x10\x4a\x09no reason",
    )
    program.write_text(
        textwrap.dedent(f"""\
            #!{os.path.realpath(sys.executable)} -IS
            import socket, sys
            wire = socket.socket(fileno=int(sys.argv[2]))
            request = wire.recv(1 << 16)
            wire.send({answer[0]!r})
            assert wire.recv(1 << 16) == b"\\x08\\x06\\x18\\x01"
            wire.send({answer[1]!r})
            """)
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = oci("checkpoint", "--image-path", str(tmp_path / "image"), container, fails=True)
    assert "criu failed (errno 16): no reason; log: " in done.stderr
    assert '"status": "running"' in oci("state", container).stdout


def test_a_message_is_read_as_it_was_written():
    options = {"images_dir_fd": 3, "pid": -1, "root": "/r", "cg_root": [{"ctrl": "", "path": "/x"}]}
    request = criu.decode(criu.encode_request(criu.DUMP, options))
    assert request[1] == [criu.DUMP]
    fields = criu.decode(request[2][0])
    assert fields == {1: [3], 2: [2**64 - 1], 13: [b"/r"], 25: [b"\x0a\x00\x12\x02/x"]}
    for broken in (b"\x08", b"\x0d\x00", b"\x08\xff"):
        with pytest.raises(ValueError, match="criu's answer"):
            criu.decode(broken)
