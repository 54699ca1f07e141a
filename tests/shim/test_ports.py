"""A published port's own socket: what arrives there reaches the container."""

from __future__ import annotations

import socket
import threading

import pytest

from sampan.shim import protocol
from tests.shim.engine import PATIENCE


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


def published(start, target: int) -> tuple:
    """A container, and the port on ::1 or 127.0.0.1 whose connections go to `target`."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = protocol.Port(fd=0, host="127.0.0.1", port=target)
        container = start(["sleep", "1000"], ports=(port,), fds=[reserved.fileno()])
        return container, reserved.getsockname()


def test_both_directions_and_half_close(start, listener) -> None:
    _, address = published(start, listener.getsockname()[1])
    request, answer = bytes(range(256)) * 4_000, b"answer" * 100_000

    def serve() -> None:
        with listener.accept()[0] as server:
            received.append(b"".join(iter(lambda: server.recv(65536), b"")))
            server.sendall(answer)

    received: list[bytes] = []
    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(65536), b"")) == answer
    thread.join()
    assert received == [request]


def test_a_refused_connection_is_closed(start, listener) -> None:
    _, address = published(start, listener.getsockname()[1])
    listener.close()
    with socket.create_connection(address, PATIENCE) as client:
        assert client.recv(1) == b""


def test_the_port_is_free_when_the_container_has_ended(start, listener) -> None:
    container, address = published(start, listener.getsockname()[1])
    container.ask(protocol.kill(9))
    container.wait_exit()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, PATIENCE)
