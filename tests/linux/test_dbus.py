"""D-Bus as bytes, and the client against a peer of a few lines."""

import os
import socket
import threading

import pytest

from sampan.linux import dbus
from sampan.linux.dbus import wire

SYSTEMD = dbus.Peer(destination="a.b", path="/a/b", interface="a.b.C")


def test_a_call_has_the_bytes_of_the_specification():
    data = wire.pack(wire.CALL, 1, {wire.PATH: "/o", wire.MEMBER: "M"}, "u", (7,))
    assert data == bytes.fromhex(
        "6c010001040000000100000027000000"  # little endian, call; body 4, serial 1; fields 39
        "01016f00020000002f6f000000000000"  # 1: object path "/o"
        "03017300010000004d00000000000000"  # 3: text "M"
        "080167000175000007000000"  # 8: signature "u"; padding to 8; the body
    )


@pytest.mark.parametrize(
    ("signature", "body", "read"),
    [
        ("", (), ()),
        ("sob", ("é", "/x", True), ("é", "/x", True)),
        ("ynqiuxtd", (1, -2, 3, -4, 5, -6, 7, 0.5), (1, -2, 3, -4, 5, -6, 7, 0.5)),
        ("asay", (["a", "bc"], [1, 2]), (["a", "bc"], [1, 2])),
        (
            "a(sv)",
            ([("P", ("t", 1 << 63)), ("Q", ("as", ["x"]))],),
            ([("P", 1 << 63), ("Q", ["x"])],),
        ),
        ("a(sa(sv))as", ([], []), ([], [])),
        ("a{sv}y", ([("k", ("(ii)", (1, 2)))], 9), ([("k", (1, 2))], 9)),
    ],
)
def test_what_is_written_is_read(signature, body, read):
    data = wire.pack(wire.SIGNAL, 9, {wire.MEMBER: "S"}, signature, body)
    message, size = wire.unpack(data + b"more")
    assert (message.kind, message.serial, message.body, size) == (4, 9, read, len(data))
    for cut in range(len(data)):
        assert wire.unpack(data[:cut]) is None


def test_what_is_no_message_is_refused():
    good = wire.pack(wire.SIGNAL, 9, {wire.MEMBER: "S"}, "as", (["a"],))
    for bad in (
        b"HTTP/1.1 400 Bad Request",
        b"l\1\0\1" + b"\xff" * 20,
        good[:-10] + b"\xff\xff\xff\xff" + good[-6:],
    ):
        with pytest.raises(wire.WireError):
            wire.unpack(bad)
    for signature in ("(s", "a", "z", "{s"):
        with pytest.raises(wire.WireError):
            wire.split(signature)
    with pytest.raises(wire.WireError, match="does not fit"):
        wire.pack(wire.CALL, 1, {}, "u", (-1,))


def _serve(listener, answers):
    stream, _ = listener.accept()
    with stream:
        data = b""
        while b"BEGIN\r\n" not in data:
            data += stream.recv(4096)
        assert data.split()[2] == str(os.geteuid()).encode().hex().encode()
        stream.sendall(b"OK 1234\r\n")
        data = data.partition(b"BEGIN\r\n")[2]
        for answer in answers:
            while (found := wire.unpack(data)) is None:
                data += stream.recv(4096)
            data = data[found[1] :]
            stream.sendall(answer(found[0].serial))


def _with(tmp_path, answers, body):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, answers))
        thread.start()
        try:
            with dbus.connect(str(tmp_path / "s")) as connection:
                body(connection)
        finally:
            thread.join()


def test_calls_signals_and_errors(tmp_path):
    def job(serial):
        gone = wire.pack(wire.SIGNAL, 1, {wire.MEMBER: "Removed"}, "us", (3, "done"))
        return gone + wire.pack(wire.RETURN, 2, {wire.REPLY_SERIAL: serial}, "o", ("/job/3",))

    def refuse(serial):
        fields = {wire.REPLY_SERIAL: serial, wire.ERROR_NAME: "a.NoSuchUnit"}
        return wire.pack(wire.ERROR, 3, fields, "s", ("it is gone",))

    def body(connection):
        assert connection.call(SYSTEMD, "Stop", "s", "x") == ("/job/3",)
        assert connection.wait_signal("Removed", lambda found: found[0] == 3) == (3, "done")
        with pytest.raises(dbus.DBusError, match="it is gone") as caught:
            connection.call(SYSTEMD, "Stop", "s", "x")
        assert caught.value.name == "a.NoSuchUnit"
        with pytest.raises(dbus.NoAnswer, match="closed"):
            connection.wait_signal("Removed", lambda found: True)

    _with(tmp_path, [job, refuse], body)
