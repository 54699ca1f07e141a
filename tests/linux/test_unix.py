"""Messages over unix sockets, and what travels with them."""

import os
import socket
import threading

import pytest

from sampan.linux import unix


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("number", [0, 1, 253, 254, 700])
def test_descriptors_arrive_in_their_order(pair, number):
    message = {"op": "start", "text": "ü" * 5000}
    opened = [os.memfd_create(str(n)) for n in range(number)]
    try:
        sending = threading.Thread(target=unix.send, args=(pair[0], message, opened))
        sending.start()
        received, fds = unix.receive(pair[1])
        sending.join()
        assert received == message
        assert [os.fstat(fd).st_ino for fd in fds] == [os.fstat(fd).st_ino for fd in opened]
        assert not any(os.get_inheritable(fd) for fd in fds)
    finally:
        for fd in [*opened, *fds]:
            os.close(fd)


def test_the_first_bytes_are_together(pair):
    """Whoever only peeks sees what the message is about."""
    null = os.open("/dev/null", os.O_RDONLY)
    unix.send(pair[0], {"op": "start"}, [null] * 600)
    assert pair[1].recv(14, socket.MSG_PEEK)[4:] == b'{"op":"sta'
    _, fds = unix.receive(pair[1])
    for fd in [null, *fds]:
        os.close(fd)


def test_the_end_and_a_message_that_is_cut(pair):
    pair[0].sendall(unix.encode({"a": 1})[:-1])
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="in the middle of a message"):
        unix.receive(pair[1])
    assert unix.receive(pair[1]) == (None, [])
