"""The client against the other end of the wire."""

import select
import socket
import threading

import pytest

from sampan.client import address, api, errors
from tests.cli.fake_engine import FakeEngine


@pytest.fixture
def engine(tmp_path):
    fake = FakeEngine(str(tmp_path / "engine.sock"))
    yield fake
    fake.close()


@pytest.fixture
def client(engine):
    with api.Client(engine.host) as client:
        yield client


def serve_once(path, answer, requests=1):
    """A server that gives fixed bytes to each of `requests` requests; returns its thread."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve():
        with listener:
            for _ in range(requests):
                sock, _ = listener.accept()
                with sock:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += sock.recv(65536)
                    sock.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_one_connection_serves_many_calls(engine, client):
    engine.answers["GET /info"] = (200, {"ID": "é"})
    assert [client.call("GET", "/info")["ID"] for _ in range(3)] == ["é"] * 3
    assert len(engine._open) == 1


def test_a_message_becomes_an_error_of_its_kind(engine, client):
    engine.answers["GET /containers/x/json"] = (404, {"message": "No such container: x"})
    engine.answers["POST /volumes/create"] = (409, {"message": "taken"})
    with pytest.raises(errors.NotFound, match=r"^No such container: x$") as caught:
        client.call("GET", "/containers/x/json")
    assert caught.value.status == 404
    with pytest.raises(errors.Conflict, match="taken"):
        client.call("POST", "/volumes/create", None, {"Name": "v"})


def test_a_chunked_stream_is_given_line_by_line_however_it_was_cut(engine, client):
    engine.answers["GET /events"] = (200, [b'{"a":', b'1}\n{"a":2}\n{"', b'a":3}'])
    response = client.stream("GET", "/events")
    assert [m["a"] for m in client.messages(response)] == [1, 2, 3]
    client.call("GET", "/version")
    assert len(engine._open) == 1, "a stream that was read to its end leaves its connection"


def test_a_streamed_body_goes_out_in_chunks(engine, client):
    client.call("POST", "/images/load", None, iter([b"abc", b"", b"def"]))
    (request,) = engine.asked("POST /images/load")
    assert request.body == b"abcdef"
    assert request.headers["transfer-encoding"] == "chunked"


def test_an_older_engine_is_spoken_to_in_its_version(engine, client, monkeypatch):
    refusal = {"message": "client version 1.51 is too new. Maximum supported API version is 1.41"}
    targets = []
    answer = engine._answer

    def record(sock, request):
        engine.answers["GET /info"] = (400, refusal) if not targets else (200, {"ok": True})
        targets.append(request)
        answer(sock, request)

    monkeypatch.setattr(engine, "_answer", record)
    assert client.call("GET", "/info") == {"ok": True}
    assert client.version == "1.41"


def test_queries_are_percent_encoded(engine, client):
    client.call("GET", "/images/json", {"filters": {"a b": ["ü&="]}, "all": True, "no": None})
    (request,) = engine.asked("GET /images/json")
    assert request.query == "filters=%7B%22a%20b%22%3A%5B%22%C3%BC%26%3D%22%5D%7D&all=1"


def test_the_bytes_right_behind_a_101_are_not_lost(tmp_path):
    path = str(tmp_path / "s")
    thread = serve_once(path, b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly")
    with api.Client(f"unix://{path}") as client:
        stream = client.hijack("/containers/x/attach")
        assert stream.pending
        assert stream.receive() + stream.receive() == b"early"
    thread.join()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP answer"),
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "in mid-answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no chunk size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "length is '-1'"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{", "GET /info"),
    ],
)
def test_a_broken_answer_is_told_in_a_sentence(tmp_path, answer, says):
    path = str(tmp_path / "s")
    thread = serve_once(path, answer)
    with api.Client(f"unix://{path}") as client, pytest.raises(errors.BrokenAnswer, match=says):
        client.call("GET", "/info")
    thread.join()


def test_nobody_there(tmp_path):
    with pytest.raises(errors.Unreachable, match=r"no such file"):
        api.Client(f"unix://{tmp_path}/none").open()
    with pytest.raises(errors.Unreachable, match=r"tcp://127.0.0.1:9: connection refused"):
        api.Client("tcp://127.0.0.1:9").open()


def test_a_socket_whose_name_is_too_long_for_the_kernel(tmp_path):
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    engine = None
    try:
        short = FakeEngine(str(tmp_path / "s"))
        (directory / "s").symlink_to(tmp_path / "s")
        engine = short
        with api.Client(f"unix://{directory}/s") as client:
            assert client.call("GET", "/version")["Version"]
    finally:
        if engine:
            engine.close()


@pytest.mark.parametrize(
    ("text", "path", "host", "port"),
    [
        ("unix:///run/x.sock", "/run/x.sock", "", 0),
        ("/run/x.sock", "/run/x.sock", "", 0),
        ("tcp://10.0.0.1:2375", "", "10.0.0.1", 2375),
        ("tcp://localhost", "", "localhost", 2375),
        ("tcp://[::1]:99", "", "::1", 99),
        ("http://h:80/", "", "h", 80),
        ("host:1234", "", "host", 1234),
    ],
)
def test_addresses(text, path, host, port):
    found = address.parse(text)
    assert (found.path, found.host, found.port) == (path, host, port)


@pytest.mark.parametrize("text", ["", "unix://", "https://x", "tcp://h:0", "tcp://h:x", "ftp://x"])
def test_what_is_no_address(text):
    with pytest.raises(errors.BadAddress):
        address.parse(text)


def test_a_connection_that_the_engine_closed_is_not_used_again(tmp_path):
    path = str(tmp_path / "s")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    thread = serve_once(path, answer, requests=2)
    with api.Client(f"unix://{path}") as client:
        assert client.call("GET", "/info") == {}
        select.select([client._idle[0].sock], [], [], 20)  # until the engine's end has arrived
        assert client.call("POST", "/containers/create", None, {}) == {}
    thread.join()
