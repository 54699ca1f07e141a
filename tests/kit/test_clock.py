"""Times as text."""

import pytest

from sampan.kit import clock


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01t00:00:00.000000001z", 1),
        ("1970-01-01T01:00:00.5+01:00", 5 * 10**8),
        ("1969-12-31T22:30:00-01:30", 0),
        ("1970-01-01T00:00:00", 0),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9),
    ],
)
def test_rfc_3339(text, nanoseconds):
    assert clock.parse(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2020-01-01", "2020-13-01T00:00:00Z", "2020-01-01T24:00:00Z"),
        *("2020-01-01T00:60:00Z", "99999999999999999999-01-01T00:00:00Z", "2020-1-1T0:0:0Z"),
        *("2020-01-01T00:00:00.1234567890Z", "2020-01-01T00:00:00+1:00", "-1-01-01T00:00:00Z"),
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match=r"."):
        clock.parse(text)
