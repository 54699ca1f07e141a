"""`cp`: the rules of where things go, and archives that a hostile container might send."""

import base64
import io
import json
import os
import tarfile

import pytest

DIRECTORY = 1 << 31


def archive(*members):
    """A tar of (name, content | None for a directory | ("sym" or "link", target))."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o644, 1_700_000_000
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif isinstance(content, tuple):
                info.type = tarfile.SYMTYPE if content[0] == "sym" else tarfile.LNKTYPE
                info.linkname = content[1]
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def serve(engine):
    """`serve(name, mode, tar)`: what `GET /containers/c/archive` gives."""

    def install(name, mode, tar):
        stat = {"name": name, "size": 0, "mode": mode, "mtime": "", "linkTarget": ""}
        encoded = base64.b64encode(json.dumps(stat).encode()).decode()

        def answer(sock, request):
            head = f"X-Docker-Container-Path-Stat: {encoded}\r\nContent-Length: {len(tar)}"
            head += "\r\nConnection: close"  # as it does
            body = b"" if request.method == "HEAD" else tar
            sock.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)

        engine.takeovers["GET /containers/c/archive"] = answer
        engine.takeovers["HEAD /containers/c/archive"] = answer

    return install


TREE = archive(
    ("d", None), ("d/f", b"text"), ("d/l", ("sym", "/etc/passwd")), ("d/h", ("link", "d/f"))
)


def test_a_directory_goes_into_one_that_is_there(engine, serve, sampan, tmp_path):
    serve("d", DIRECTORY | 0o755, TREE)
    (tmp_path / "to").mkdir()
    result = sampan("cp", "c:/d", f"{tmp_path}/to", host=engine.host)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "to/d/f").read_text() == "text"
    assert (tmp_path / "to/d/f").stat().st_mtime == 1_700_000_000
    assert (tmp_path / "to/d/h").samefile(tmp_path / "to/d/f")
    assert os.readlink(tmp_path / "to/d/l") == "/etc/passwd"


def test_a_directory_becomes_one_that_is_not_there(engine, serve, sampan, tmp_path):
    serve("d", DIRECTORY | 0o755, TREE)
    sampan("cp", "c:/d", f"{tmp_path}/new", host=engine.host)
    assert (tmp_path / "new/f").read_text() == "text"


def test_the_contents_of_a_directory(engine, serve, sampan, tmp_path):
    serve("d", DIRECTORY | 0o755, TREE)
    (tmp_path / "to").mkdir()
    sampan("cp", "c:/d/.", f"{tmp_path}/to", host=engine.host)
    assert (tmp_path / "to/f").read_text() == "text"


@pytest.mark.parametrize(
    ("target", "says"),
    [("file", "cannot copy directory"), ("no/such", 'no" does not exist')],
)
def test_where_a_directory_cannot_go(engine, serve, sampan, tmp_path, target, says):
    serve("d", DIRECTORY | 0o755, TREE)
    (tmp_path / "file").write_text("kept")
    result = sampan("cp", "c:/d", f"{tmp_path}/{target}", host=engine.host)
    assert result.returncode == 1 and says in result.stderr
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    "members",
    [
        [("d", None), ("d/../../evil", b"x")],
        [("d", None), ("d/out", ("sym", "..")), ("d/out/evil", b"x")],
        [("d", None), ("d/out", ("sym", "..")), ("d/h", ("link", "d/out/secret"))],
        [("/../evil", b"x")],
    ],
)
def test_an_archive_cannot_leave_its_directory(engine, serve, sampan, tmp_path, members):
    serve("d", DIRECTORY | 0o755, archive(*members))
    (tmp_path / "to").mkdir()
    (tmp_path / "to/secret").write_text("s")
    result = sampan("cp", "c:/d", f"{tmp_path}/to", host=engine.host)
    assert result.returncode == 1
    assert "the archive's member" in result.stderr
    assert sorted(os.listdir(tmp_path / "to")) == ["d", "secret"] or members[0][1] is not None
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "to/secret").stat().st_nlink == 1


def test_a_tree_is_sent_under_its_new_name(engine, serve, sampan, tmp_path):
    serve("srv", DIRECTORY | 0o755, b"")
    source = tmp_path / "site"
    (source / "sub").mkdir(parents=True)
    (source / "sub/big").write_bytes(os.urandom(700_001))
    (source / "link").symlink_to("sub/big")
    result = sampan("cp", str(source), "c:/srv", host=engine.host)
    assert (result.returncode, result.stderr) == (0, "")
    (request,) = engine.asked("PUT /containers/c/archive")
    assert "path=%2Fsrv" in request.query
    with tarfile.open(fileobj=io.BytesIO(request.body)) as tar:
        assert tar.getnames() == ["site", "site/link", "site/sub", "site/sub/big"]
        assert tar.extractfile("site/sub/big").read() == (source / "sub/big").read_bytes()


def test_tar_streams_pass_through(engine, serve, sampan, tmp_path):
    serve("d", DIRECTORY | 0o755, TREE)
    result = sampan("cp", "-", "c:/d", host=engine.host, stdin="a tar, says the user")
    assert result.returncode == 0
    assert engine.asked("PUT /containers/c/archive")[0].body == b"a tar, says the user"


def test_both_sides_or_neither(sampan):
    assert "between containers" in sampan("cp", "a:/x", "b:/y").stderr
    assert "at least one container" in sampan("cp", "/x", "./a:b").stderr
