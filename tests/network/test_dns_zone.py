"""Questions about containers, and answers from elsewhere that are kept: bytes in, bytes out."""

import socket
import struct

import pytest

from sampan.network import dns_cache, dns_message, dns_zone

A, AAAA, PTR, SRV = dns_message.A, dns_message.AAAA, dns_message.PTR, dns_message.SRV


def question(name: str, kind: int = A, *, edns: int = 0) -> bytes:
    opt = struct.pack(">BHHIH", 0, dns_message.OPT, edns, 0, 0) if edns else b""
    return (
        struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, bool(opt))
        + dns_message.pointer(name)
        + struct.pack(">HH", kind, 1)
        + opt
    )


def host(name: str, *addresses: str, called: tuple[str, ...] = (), ports=()) -> dns_zone.Host:
    return dns_zone.Host(name=name, addresses=addresses, called=(name, *called), ports=ports)


@pytest.fixture
def zones() -> dict[str, dns_zone.Zone]:
    zone = dns_zone.Zone()
    http = ((80, "tcp", "http"), (8080, "tcp", ""))
    zone.put("id1", host("web1", "10.0.0.2", "fd00::2", called=("web",), ports=http))
    zone.put("id2", host("web2", "10.0.0.3", called=("web",), ports=((80, "tcp", "http"),)))
    for n in range(60):
        zone.put(f"many{n}", host(f"m{n}", f"10.0.1.{n}", called=("many",)))
    return {"net": zone}


VIEW = dns_zone.View(networks=(("net", "shore"),), links={"net": {"db": "id2"}})


def ask(zones, data: bytes, *, limit: int = 65535, turn: int = 0) -> bytes | None:
    query = dns_message.parse(data)
    assert query is not None
    return dns_zone.answer(query, VIEW, zones, limit=limit, turn=turn)


def counts(reply: bytes) -> tuple[int, ...]:
    return struct.unpack_from(">HHHH", reply, 4)


def addresses(reply: bytes, name: str, size: int = 4) -> list[str]:
    offset = len(question(name))
    family = socket.AF_INET if size == 4 else socket.AF_INET6
    step = 12 + size
    return [
        socket.inet_ntop(family, reply[offset + step * n + 12 : offset + step * (n + 1)])
        for n in range(counts(reply)[1])
    ]


@pytest.mark.parametrize("name", ["WEB1", "web1.shore", "web1.SHORE"])
def test_a_name_and_the_same_with_its_network(zones, name):
    assert addresses(ask(zones, question(name)), name) == ["10.0.0.2"]
    assert addresses(ask(zones, question(name, AAAA)), name, 16) == ["fd00::2"]


def test_equal_aliases_take_turns(zones):
    first, second = (addresses(ask(zones, question("web"), turn=n), "web") for n in (0, 1))
    assert (first, second) == (["10.0.0.2", "10.0.0.3"], ["10.0.0.3", "10.0.0.2"])


def test_a_link_is_a_name_for_one_container(zones):
    assert addresses(ask(zones, question("db")), "db") == ["10.0.0.3"]


def test_another_type_of_a_known_name_is_an_empty_answer(zones):
    reply = ask(zones, question("web2", AAAA))
    assert reply is not None
    assert (dns_message.code(reply), counts(reply)) == (0, (1, 0, 0, 0))
    assert ask(zones, question("elsewhere")) is None


@pytest.mark.parametrize(
    "name",
    ["2.0.0.10.in-addr.arpa", ".".join(reversed("fd00" + "0" * 27 + "2")) + ".ip6.arpa"],
)
def test_reverse(zones, name):
    assert ask(zones, question(name, PTR)).endswith(b"\x04web1\x05shore\x00")
    assert ask(zones, question("9.0.0.10.in-addr.arpa", PTR)) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("_http._tcp.web", 2),
        ("_80._tcp.web.shore", 2),
        ("_8080._tcp.web", 1),
        ("_80._udp.web", 0),
        ("_443._tcp.web", 0),
    ],
)
def test_services(zones, name, found):
    reply = ask(zones, question(name, SRV))
    assert counts(reply)[1] == found
    assert (socket.inet_aton("10.0.0.2") in reply) == bool(found)  # the target's own address
    if found:
        port = {"_8080": 8080}.get(name.split(".")[0], 80)
        record = struct.pack(">HHH", 0, 0, port) + b"\x04web1\x05shore\x00"
        assert record in reply
    assert ask(zones, question("_80._tcp.elsewhere", SRV)) is None


def test_a_client_says_how_long_an_answer_may_be(zones):
    short = dns_message.parse(question("many"))
    long = dns_message.parse(question("many", edns=1232))
    assert (short.limit, long.limit) == (512, 1232)
    small, large = (dns_zone.answer(q, VIEW, zones, limit=q.limit) for q in (short, long))
    assert small[2] & 2  # truncated: ask by TCP
    assert len(small) <= 512
    assert counts(large)[1] == 60
    assert counts(large)[3] == 1  # its own OPT record (RFC 6891, section 6.1.1)
    assert not large[2] & 2


@pytest.mark.parametrize("cut", range(len(question("web"))))
def test_malformed_queries_are_none(cut):
    assert dns_message.parse(question("web")[:cut]) is None


def test_pointers_and_answers_are_no_questions():
    pointer = question("web")[:12] + b"\xc0\x0c\x00\x01\x00\x01"
    assert dns_message.parse(pointer) is None
    query = dns_message.parse(question("web"))
    assert dns_message.parse(dns_message.failure(query, 2)) is None


def reply_to(name: str, ttls: list[int], *, code: int = 0, soa: int | None = None) -> bytes:
    """An answer as an upstream gives it; `soa` is the minimum of an SOA record."""
    data = question(name)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", A, 1, ttl, 4) + b"\1\2\3\4" for ttl in ttls)
    authority = b""
    if soa is not None:
        rdata = b"\0\0" + struct.pack(">IIIII", 1, 2, 3, 4, soa)
        authority = b"\0" + struct.pack(">HHIH", dns_message.SOA, 1, 3600, len(rdata)) + rdata
    head = struct.pack(">HHHHHH", 7, 0x8180 | code, 1, len(ttls), bool(authority), 0)
    return head + data[12:] + body + authority


def ttls_of(reply: bytes, name: str) -> list[int]:
    offset = len(question(name))
    return [
        struct.unpack_from(">I", reply, offset + 16 * n + 6)[0] for n in range(counts(reply)[1])
    ]


def test_a_kept_answer_says_how_long_it_is_still_good():
    cache = dns_cache.Cache()
    cache.put("key", reply_to("x", [300, 60]), now=100.0)
    assert ttls_of(cache.get("key", 130.0), "x") == [270, 30]
    assert cache.get("key", 160.0) is None
    assert cache.get("other", 100.0) is None


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (reply_to("x", [0]), 0),
        (reply_to("x", [], code=3, soa=30), 30),
        (reply_to("x", [], soa=30), 30),
        (reply_to("x", [], code=3), 0),  # a "no" that does not say how long
        (reply_to("x", [60], code=2), 0),
        (reply_to("x", [1 << 31]), 0),
        (reply_to("x", [60])[:-3], 0),
    ],
    ids=["zero", "name error", "no data", "no SOA", "SERVFAIL", "negative TTL", "cut off"],
)
def test_what_is_kept_and_how_long(reply, seconds):
    cache = dns_cache.Cache()
    cache.put("key", reply, now=0.0)
    assert (cache.get("key", seconds - 0.1) is not None) == (seconds > 0)
    assert cache.get("key", float(seconds)) is None


def test_the_oldest_answer_makes_room():
    cache = dns_cache.Cache(most=2)
    for key in "abc":
        cache.put(key, reply_to("x", [60]), now=0.0)
    assert [cache.get(key, 0.0) is not None for key in "abc"] == [False, True, True]
