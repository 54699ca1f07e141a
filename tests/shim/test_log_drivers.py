"""The log drivers as their receivers see them: real files and sockets."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import struct

import pytest

from sampan.shim import logs
from sampan.shim import loop as loops
from sampan.shim.protocol import Log
from tests.voyage.programs import until

from .log_driver_contract import LogDriverContract

PATIENCE = 10


@pytest.fixture
def loop():
    loop = loops.Loop()
    yield loop
    loop.close()


def unused() -> None:
    raise AssertionError("nothing was full")


class TestFiles(LogDriverContract):
    @pytest.fixture
    def driver(self, tmp_path, loop):
        self.path = tmp_path / "log"
        return logs.make(Log(driver="local", path=str(self.path)), loop, unused)

    def messages(self, driver) -> list[tuple[int, str]]:
        driver.close()
        records = [json.loads(line) for line in self.path.read_text().splitlines()]
        names = {"stdout": 1, "stderr": 2}
        return [(names[r["stream"]], r["log"].removesuffix("\n")) for r in records]


class Receiver:
    """A datagram socket somebody sends to."""

    def __init__(self, path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)

    def waiting(self) -> list[bytes]:
        found = []
        try:
            while True:
                found.append(self.sock.recv(1 << 17))
        except BlockingIOError:
            return found


class TestJournald(LogDriverContract):
    @pytest.fixture
    def driver(self, tmp_path, loop):
        self.receiver = Receiver(tmp_path / "journal")
        fields = {"CONTAINER_NAME": "web", "NOTE": "two\nlines"}
        log = Log(driver="journald", address=str(tmp_path / "journal"), fields=fields)
        yield logs.make(log, loop, unused)
        self.receiver.sock.close()

    def messages(self, driver) -> list[tuple[int, str]]:
        driver.close()
        entries = [journal_fields(data) for data in self.receiver.waiting()]
        assert all(entry["CONTAINER_NAME"] == "web" for entry in entries)
        assert all(entry["NOTE"] == "two\nlines" for entry in entries)
        return [({"6": 1, "3": 2}[entry["PRIORITY"]], entry["MESSAGE"]) for entry in entries]

    def test_a_piece_of_a_longer_line_says_so(self, driver) -> None:
        driver.write(1, b"x" * (16 * 1024 + 1) + b"\n")
        driver.close()
        first, second = map(journal_fields, self.receiver.waiting())
        assert first["CONTAINER_PARTIAL_MESSAGE"] == "true"
        assert "CONTAINER_PARTIAL_MESSAGE" not in second


def journal_fields(data: bytes) -> dict[str, str]:
    """systemd's reading of its own protocol."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


SYSLOG = {"kind": "unixgram", "tag": "web", "format": "rfc5424", "facility": "3"}


class TestSyslog(LogDriverContract):
    @pytest.fixture
    def driver(self, tmp_path, loop):
        self.receiver = Receiver(tmp_path / "log")
        log = Log(driver="syslog", address=str(tmp_path / "log"), fields=SYSLOG)
        yield logs.make(log, loop, unused)
        self.receiver.sock.close()

    def messages(self, driver) -> list[tuple[int, str]]:
        driver.close()
        form = re.compile(r"<(\d+)>1 \d{4}-\d\d-\d\dT[\d:]{8}Z \S+ web \d+ web - (.*)\n")
        found = [form.fullmatch(data.decode()) for data in self.receiver.waiting()]
        assert all(found), found
        return [({"30": 1, "27": 2}[match[1]], match[2]) for match in found if match]


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("unix", r"<30>[A-Z][a-z]{2} [ \d]\d [\d:]{8} web\[\d+\]: hello\n"),
        ("rfc3164", r"<30>[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ web\[\d+\]: hello\n"),
        ("rfc5424micro", r"<30>1 \d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z \S+ web \d+ web - hello\n"),
    ],
)  # fmt: skip
def test_syslog_has_the_asked_for_form(tmp_path, loop, form: str, pattern: str) -> None:
    receiver = Receiver(tmp_path / "log")
    fields = {**SYSLOG, "format": form}
    driver = logs.make(
        Log(driver="syslog", address=str(tmp_path / "log"), fields=fields), loop, unused
    )
    driver.write(1, b"hello\n")
    driver.close()
    (data,) = receiver.waiting()
    receiver.sock.close()
    assert re.fullmatch(pattern, data.decode())


def tcp_log(listener: socket.socket, **more) -> Log:
    host, port = listener.getsockname()
    return Log(
        driver="syslog", address=host, fields={**SYSLOG, "kind": "tcp", "port": str(port)}, **more
    )


def test_a_slow_receiver_makes_the_driver_full_until_it_reads(loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = []
        driver = logs.make(
            tcp_log(listener, buffer=1 << 16), loop, lambda: told.append(loop.stop())
        )
        connection, _ = listener.accept()
        written = 0
        while not driver.full:
            driver.write(1, b"x" * 1000 + b"\n")
            written += 1
            assert written < 100_000, "a receiver that never reads does not fill anything"
        read = []

        def take(_events: int) -> None:
            read.append(connection.recv(1 << 20))

        loop.watch(connection.fileno(), loops.IN, take)
        loop.run()
        assert not driver.full
        assert told
        connection.settimeout(PATIENCE)
        loop.forget(connection.fileno())
        received = b"".join(read)
        driver.close()
        while chunk := connection.recv(1 << 20):
            received += chunk
        connection.close()
        assert received.count(b"\n") == written


def test_a_driver_that_does_not_block_drops_the_oldest(loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        driver = logs.make(tcp_log(listener, buffer=1 << 16, blocking=False), loop, unused)
        connection, _ = listener.accept()
        for number in range(20_000):
            driver.write(1, b"%06d" % number + b"x" * 1000 + b"\n")
            assert not driver.full
        loop.watch(connection.fileno(), loops.IN, lambda _: loop.stop())
        loop.run()
        connection.setblocking(True)
        connection.settimeout(0.5)
        received = b""
        try:
            while chunk := connection.recv(1 << 20):
                received += chunk
        except TimeoutError:
            pass
        loop.forget(connection.fileno())
        driver.close()
        connection.settimeout(PATIENCE)
        while chunk := connection.recv(1 << 20):
            received += chunk
        connection.close()
        assert b"019999x" in received
        assert received.count(b"\n") < 20_000


def test_a_receiver_that_went_away_does_not_stop_the_container(loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        driver = logs.make(tcp_log(listener), loop, unused)
        listener.accept()[0].close()
    for _ in range(100):
        driver.write(1, b"into the void\n")
        assert not driver.full
    driver.close()


def test_a_receiver_that_is_not_there_is_named(tmp_path, loop) -> None:
    log = Log(driver="syslog", address=str(tmp_path / "none"), fields=SYSLOG)
    with pytest.raises(logs.NoReceiver, match=r"logging driver: syslog: connect .*/none: no such"):
        logs.make(log, loop, unused)


def test_the_cache_beside_a_remote_driver_has_everything(tmp_path, loop) -> None:
    receiver = Receiver(tmp_path / "log.sock")
    log = Log(
        driver="syslog", address=str(tmp_path / "log.sock"), fields=SYSLOG, path=str(tmp_path / "c")
    )
    driver = logs.make(log, loop, unused)
    driver.write(1, b"hello\n")
    driver.close()
    assert len(receiver.waiting()) == 1
    receiver.sock.close()
    assert json.loads((tmp_path / "c").read_text())["log"] == "hello\n"


def test_rotated_files_are_compressed_and_lose_nothing(tmp_path, loop) -> None:
    path = tmp_path / "log"
    log = Log(driver="local", path=str(path), max_size=4000, max_file=4, compress=True)
    driver = logs.make(log, loop, unused)
    for number in range(300):
        driver.write(1, b"line %d\n" % number)
    driver.close()
    expected = ["log", "log.1.gz", "log.2.gz", "log.3.gz"]
    until(lambda: sorted(os.listdir(tmp_path)) == expected, message="it is not compressed")
    packed = [(tmp_path / f"log.{number}.gz").read_bytes() for number in (3, 2, 1)]
    kept = b"".join(map(gzip.decompress, packed)) + path.read_bytes()
    texts = [json.loads(line)["log"] for line in kept.splitlines()]
    assert texts == [f"line {n}\n" for n in range(300 - len(texts), 300)]
    assert len(texts) > 100
