import socket

import pytest

from sampan.network import errors, ports

pytestmark = pytest.mark.needs("netns")


def on_own_host(own_host, body):
    async def run(_host):
        body()

    own_host(run)


def test_a_taken_port_is_refused_with_dockers_words(own_host):
    def body():
        first = ports.reserve("", 8080, "tcp")
        assert (first.port, len(first.fds())) == (8080, 2)
        with pytest.raises(errors.PortAllocated) as caught:
            ports.reserve("", 8080, "tcp")
        assert str(caught.value) == "Bind for 0.0.0.0:8080 failed: port is already allocated"
        with pytest.raises(errors.PortAllocated, match=r"Bind for 127.0.0.1:8080 failed"):
            ports.reserve("127.0.0.1", 8080, "tcp")
        ports.reserve("", 8080, "udp").close()
        first.close()
        ports.reserve("", 8080, "tcp").close()

    on_own_host(own_host, body)


def test_udp_ports_are_not_shared(own_host):
    def body():
        first = ports.reserve("0.0.0.0", 53, "udp")
        with pytest.raises(errors.PortAllocated):
            ports.reserve("", 53, "udp")
        first.close()

    on_own_host(own_host, body)


def test_a_port_is_free_again_at_once_after_connections(own_host):
    def body():
        held = ports.reserve("", 8080, "tcp")
        client = socket.create_connection(("127.0.0.1", 8080))
        served, _ = held.sockets[0].accept()
        served.close()  # the server's side goes to TIME_WAIT
        assert client.recv(1) == b""
        client.close()
        held.close()
        ports.reserve("", 8080, "tcp").close()

    on_own_host(own_host, body)


def test_the_kernel_chooses_one_port_for_both_families(own_host):
    def body():
        held = [ports.reserve("", 0, "tcp") for _ in range(20)]
        assert len({r.port for r in held}) == 20
        for r in held:
            assert {s.getsockname()[1] for s in r.sockets} == {r.port}
            r.close()

    on_own_host(own_host, body)


def test_the_first_free_of_a_range(own_host):
    def body():
        held = [ports.reserve("", 9000, "tcp", last=9001) for _ in range(2)]
        assert [r.port for r in held] == [9000, 9001]
        with pytest.raises(errors.PortAllocated, match="9001"):
            ports.reserve("", 9000, "tcp", last=9001)
        for r in held:
            r.close()

    on_own_host(own_host, body)


def test_what_can_never_work_is_refused(own_host):
    def body():
        with pytest.raises(errors.InvalidPort, match="sctp"):
            ports.reserve("", 80, "sctp")
        with pytest.raises(errors.InvalidPort, match=r"203.0.113.7:80/tcp: cannot assign"):
            ports.reserve("203.0.113.7", 80, "tcp")

    on_own_host(own_host, body)


def test_sctp_is_reserved_or_said_to_be_missing(own_host):
    def body():
        try:
            held = ports.reserve("", 9999, "sctp")
        except errors.InvalidPort:
            with pytest.raises(errors.InvalidPort, match=r"no SCTP \(module sctp\)"):
                ports.reserve("", 9999, "sctp")
            return
        with pytest.raises(errors.PortAllocated):
            ports.reserve("", 9999, "sctp")
        held.close()

    on_own_host(own_host, body)
