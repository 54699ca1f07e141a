import pytest

from sampan.engine import units
from sampan.kit import errors


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("", 15)],
)
def test_signals(text: str, number: int) -> None:
    assert units.signal_number(text) == number


@pytest.mark.parametrize("text", ["SIGNOPE", "0", "65", "RTMIN+99", "-9"])
def test_unknown_signals(text: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"Invalid signal|does not support signal"):
        units.signal_number(text)


def test_ports() -> None:
    assert units.port("80") == (80, "tcp")
    assert units.port("53/udp") == (53, "udp")
    for text in ("0", "x", "70000", "80/ip"):
        with pytest.raises(errors.InvalidArgument):
            units.port(text)
