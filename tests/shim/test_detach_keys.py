from __future__ import annotations

import pytest

from sampan.kit import errors
from sampan.shim import parsing
from sampan.shim.attach import DetachKeys


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-@,a,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL", b"\0a\x1b\x1c\x1d\x1e\x1f\x7f"),
        ("", b""),
    ],
)
def test_docker_syntax(text: str, keys: bytes) -> None:
    assert parsing.detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "shift-a", "ab", "ä"])
def test_unknown_keys_are_refused_by_name(text: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=text):
        parsing.detach_keys(f"a,{text}")


@pytest.mark.parametrize("cuts", [b"ls\x10\x11rest", b"ls\x10|\x11", b"l|s|\x10|\x11|rest"])
def test_the_sequence_is_found_wherever_reads_are_cut(cuts: bytes) -> None:
    keys, passed = DetachKeys(b"\x10\x11"), b""
    for piece in cuts.split(b"|"):
        out, detached = keys.feed(piece)
        passed += out
        if detached:
            break
    assert detached and passed == b"ls"


def test_a_broken_off_sequence_is_passed_on_whole() -> None:
    keys = DetachKeys(b"\x10\x10\x11")
    assert keys.feed(b"a\x10") == (b"a", False)
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"\x10") == (b"\x10", False)
    assert keys.feed(b"b") == (b"\x10\x10b", False)
