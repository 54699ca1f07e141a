"""The protobuf coder: its own words come back, others' bytes are read or refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.buildkit import messages
from sampan.buildkit.wire import BOOL, BYTES, INT, STRING, UINT, Malformed, Map, Repeated, Shape

INNER = Shape("Inner", number=(1, INT), text=(2, STRING))
OUTER = Shape(
    "Outer",
    signed=(1, INT),
    unsigned=(2, UINT),
    flag=(3, BOOL),
    data=(4, BYTES),
    text=(150, STRING),
    inner=(6, INNER),
    numbers=(7, Repeated(INT)),
    inners=(8, Repeated(INNER)),
    words=(9, Map(STRING)),
    places=(10, Map(INNER)),
)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
inner = st.fixed_dictionaries({"number": int64, "text": st.text()})
outer = st.fixed_dictionaries(
    {
        "signed": int64,
        "unsigned": st.integers(0, (1 << 64) - 1),
        "flag": st.booleans(),
        "data": st.binary(),
        "text": st.text(),
        "inner": st.none() | inner,
        "numbers": st.lists(int64),
        "inners": st.lists(inner),
        "words": st.dictionaries(st.text(), st.text()),
        "places": st.dictionaries(st.text(), inner),
    }
)


@given(outer)
def test_what_is_written_is_read(message: dict[str, Any]) -> None:
    assert OUTER.decode(OUTER.encode(message)) == message


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with suppress(Malformed):
        assert OUTER.decode(OUTER.encode(OUTER.decode(data))) == OUTER.decode(data)


def test_the_encoding_is_the_documents() -> None:
    # protobuf.dev/programming-guides/encoding: 150 in field 1, "testing" in field 2, packed 3 270
    assert Shape("T", a=(1, INT)).encode({"a": 150}) == bytes.fromhex("089601")
    assert Shape("T", b=(2, STRING)).encode({"b": "testing"}) == bytes.fromhex("120774657374696e67")
    packed = Shape("T", f=(6, Repeated(INT)))
    assert packed.encode({"f": [3, 270, 86942]}) == bytes.fromhex("3206038e029ea705")
    assert packed.decode(bytes.fromhex("3003308e02")) == {"f": [3, 270]}  # not packed
    assert Shape("T", a=(1, INT)).encode({"a": -2}) == bytes.fromhex("08feffffffffffffffff01")


def test_unknown_fields_are_skipped() -> None:
    data = OUTER.encode({"signed": 5, "data": b"x", "text": "t", "inner": {"number": 1}})
    fixed = bytes.fromhex("e1060102030405060708e50601020304")
    assert Shape("Little", signed=(1, INT)).decode(data + fixed) == {"signed": 5}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("08", "ends in the middle of a number"),
        ("0880", "ends in the middle of a number"),
        ("22ff01", "ends in the middle of a field"),
        ("08" + "ff" * 11, "more than 64 bits"),
        ("0b", "wire type 3"),
        ("0a00", "signed has wire type 2"),
        ("2001", "data has wire type 0"),
        ("32020a00", "number has wire type 2"),
    ],
)
def test_malformed_bytes_are_named(data: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        OUTER.decode(bytes.fromhex(data))


def test_a_file_name_need_not_be_text() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert messages.STAT.decode(messages.STAT.encode({"path": name}))["path"] == name
    with pytest.raises(TypeError, match=r"Stat has no field pth"):
        messages.STAT.encode({"pth": name})
