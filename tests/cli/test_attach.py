"""`run` with our streams on the container's, against a container that is a Python function."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

import pytest

from tests.cli.conftest import PROGRAM

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def frame(stream, text):
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


@pytest.fixture
def container(engine):
    """`container(body, code)`: what the attached container does, and its exit code."""
    ended = threading.Event()
    code = 0

    def install(body, exit_code=0):
        nonlocal code
        code = exit_code

        def attached(sock, _):
            sock.sendall(UPGRADED)
            try:
                body(sock)
            finally:
                ended.set()

        engine.takeovers["POST /containers/c0ffee/attach"] = attached

    def wait(sock, _):
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
        sock.sendall(f"{head}\r\n\r\n".encode())
        assert ended.wait(20)
        answer = b'{"StatusCode":%d}\n' % code
        sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))

    engine.takeovers["POST /containers/c0ffee/wait"] = wait
    yield install
    ended.set()


def read_all(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def test_output_is_parted_and_the_exit_code_is_the_containers(engine, container, sampan):
    def body(sock):
        sock.sendall(frame(1, b"out\n") + frame(2, b"err\n")[:5])
        sock.sendall(frame(2, b"err\n")[5:] + frame(1, b"more\n"))

    container(body, 7)
    result = sampan("run", "--rm", "busybox", host=engine.host)
    assert (result.returncode, result.stdout, result.stderr) == (7, "out\nmore\n", "err\n")
    order = [r.path for r in engine.requests]
    assert [path.rpartition("/")[2] for path in order] == ["create", "attach", "wait", "start"]
    assert engine.asked("POST /containers/c0ffee/wait")[0].query == "condition=removed"


def test_stdin_is_sent_whole_and_its_end_closes_one_half(engine, container, sampan):
    """Both directions at once, more than any buffer holds: an echo must not come to a halt."""

    def body(sock):
        for piece in iter(lambda: sock.recv(65536), b""):
            sock.sendall(frame(1, piece))
        sock.sendall(frame(1, b"END"))

    container(body)
    text = "0123456789" * 300_000
    result = sampan("run", "-i", "busybox", "cat", host=engine.host, stdin=text)
    assert result.returncode == 0
    assert result.stdout == text + "END"


def test_signals_are_passed_on(engine, container):
    got = threading.Event()
    ready = threading.Event()

    def kill(sock, request):
        assert request.query == f"signal={int(signal.SIGTERM)}"
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        got.set()

    def body(sock):
        sock.sendall(frame(1, b"up\n"))
        ready.set()
        assert got.wait(20)

    engine.takeovers["POST /containers/c0ffee/kill"] = kill
    container(body, 3)
    words = [*PROGRAM, "-H", engine.host, "run", "busybox"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == b""
    assert process.returncode == 3


class Terminal:
    """`sampan` in a pty of its own, as a terminal emulator would run it."""

    def __init__(self, words, rows=24, columns=80):
        self.master, self._slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data):
        os.write(self.master, data)

    def read_until(self, text):
        data = b""
        while text not in data:
            data += os.read(self.master, 4096)
        return data

    def wait(self):
        return self.process.wait(20)

    def restored(self):
        return termios.tcgetattr(self._slave) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def terminal():
    opened = []

    def run(*words):
        opened.append(Terminal(words))
        return opened[-1]

    yield run
    for item in opened:
        item.close()


def test_a_terminal_is_raw_and_given_back(engine, container, terminal):
    def body(sock):
        sock.sendall(b"$ ")
        assert sock.recv(100) == b"\x03", "Ctrl-C is a key for the container, no signal for us"
        sock.sendall(b"got it\r\n")

    container(body, 5)
    term = terminal("-H", engine.host, "run", "-it", "busybox")
    term.read_until(b"$ ")
    assert not term.restored()
    term.type(b"\x03")
    term.read_until(b"got it\r\n")
    assert term.wait() == 5
    assert term.restored()
    body = engine.asked("POST /containers/create")[0].json()
    assert body["HostConfig"]["ConsoleSize"] == [24, 80]


def test_a_resize_is_told(engine, container, terminal):
    sizes = []
    told = threading.Semaphore(0)

    def resized(sock, request):
        sizes.append(request.query)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        told.release()

    def body(sock):
        sock.sendall(b"$ ")
        assert told.acquire(timeout=20)
        sock.sendall(b"one ")
        assert told.acquire(timeout=20)

    engine.takeovers["POST /containers/c0ffee/resize"] = resized
    container(body)
    term = terminal("-H", engine.host, "run", "-it", "busybox")
    term.read_until(b"one ")
    term.resize(50, 132)
    assert term.wait() == 0
    assert sizes == ["h=24&w=80", "h=50&w=132"]


def test_the_detach_keys_leave_the_container_running(engine, container, terminal):
    left = threading.Event()

    def body(sock):
        sock.sendall(b"$ ")
        assert read_all(sock) == b"a\x10b", "half of the keys, then another, is input"
        left.set()

    container(body)
    term = terminal("-H", engine.host, "run", "-it", "busybox")
    term.read_until(b"$ ")
    term.type(b"a\x10b")
    term.type(b"\x10")
    term.type(b"\x11")
    term.read_until(b"read escape sequence")
    assert term.wait() == 0
    assert left.wait(20)
    assert term.restored()


def test_a_terminal_is_given_back_when_we_are_told_to_end(engine, container, terminal):
    def body(sock):
        sock.sendall(b"$ ")
        read_all(sock)

    container(body)
    term = terminal("-H", engine.host, "run", "-it", "busybox")
    term.read_until(b"$ ")
    term.process.send_signal(signal.SIGTERM)
    assert term.wait() == 143
    assert term.restored()


def test_a_terminal_is_refused_where_there_is_none(engine, sampan):
    result = sampan("run", "-it", "busybox", host=engine.host)
    assert result.returncode == 1
    assert "the input device is not a TTY" in result.stderr
    assert not engine.requests


def test_exec(engine, sampan):
    engine.answers["POST /containers/web/exec"] = (201, {"Id": "e1"})
    engine.answers["GET /exec/e1/json"] = (200, {"ExitCode": 9})

    def started(sock, request):
        assert request.json() == {"Detach": False, "Tty": False}
        sock.sendall(UPGRADED + frame(1, b"hello\n"))

    engine.takeovers["POST /exec/e1/start"] = started
    result = sampan("exec", "web", "sh", "-c", "exit 9", host=engine.host)
    assert (result.returncode, result.stdout, result.stderr) == (9, "hello\n", "")
    assert engine.asked("POST /containers/web/exec")[0].json()["Cmd"] == ["sh", "-c", "exit 9"]
