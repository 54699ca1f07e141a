"""Which paths of a context a `.dockerignore` leaves behind."""

from __future__ import annotations

import pytest

from sampan.build import ignore


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*.o", "a.o", True),
        ("*.o", "sub/a.o", False),
        ("**/*.o", "a.o", True),
        ("**/*.o", "x/y/a.o", True),
        ("docs", "docs/a/b", True),
        ("docs", "docs2", False),
        ("docs/**", "docs/a", True),
        ("docs/**", "docs", False),
        ("*/x", "a/x/deep", True),
        ("/rooted/", "rooted/file", True),
        ("a/../b", "b", True),
        ("?.c", "ab.c", False),
        ("[a-c].x", "b.x", True),
        ("[^a-c].x", "b.x", False),
        ("\\*.x", "*.x", True),
        ("\\*.x", "a.x", False),
        ("*\n!keep", "keep/me", False),
        ("*\n!keep\nkeep/secret", "keep/secret", True),
        ("# comment\n  spaced  \n", "spaced", True),
        ("**", "any/thing", True),
        ("**/node_modules", "a/node_modules/b", True),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns: str, path: str, ignored: bool) -> None:
    assert ignore.Matcher(ignore.read(patterns)).ignores(path) is ignored


def test_a_directory_is_only_pruned_when_nothing_can_come_back() -> None:
    assert ignore.Matcher(["a"]).prunes("a")
    assert not ignore.Matcher(["a", "!a/b"]).prunes("a")


@pytest.mark.parametrize("text", ["!", "[a", "x\\"])
def test_a_bad_pattern_is_named(text: str) -> None:
    with pytest.raises(ignore.BadPattern, match="pattern"):
        ignore.Matcher(ignore.read(text))
