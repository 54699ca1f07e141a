"""Variables, quotes and words of instructions."""

from __future__ import annotations

import pytest

from sampan.build.errors import ExpansionFailed
from sampan.build.shell import Lexer

ENV = {"home": "/root", "empty": "", "file": "a/b/c.tar.gz", "spaced": "x  y"}


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("$home/x ${home}y", "/root/x /rooty"),
        ("$nobody.", "."),
        (r"\$home '$home' \'", "$home $home '"),
        (r'"\$home \x \\ $home"', r"$home \x \ /root"),
        ("${empty:-d} ${empty-d} ${nobody-d}", "d  d"),
        ("${empty:+d} ${empty+d} ${nobody+d}", " d "),
        ("${nobody:-${home:+$file}}", "a/b/c.tar.gz"),
        ("${file#*/} ${file##*/}", "b/c.tar.gz c.tar.gz"),
        ("${file%.*} ${file%%.*}", "a/b/c.tar a/b/c"),
        ("${file/?\\//-} ${file//\\//-}", "-b/c.tar.gz a-b-c.tar.gz"),
        ("${file//*/x}", "x"),
        ("${home#nothing}", "/root"),
        ("100$ $1x $", "100$ x $"),
    ],
)
def test_variables_are_replaced(source: str, result: str) -> None:
    assert Lexer().expand(source, ENV).text == result


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a $spaced 'b  c'", ["a", "x", "y", "b  c"]),
        ('"$spaced"z', ["x  yz"]),
        ("pre${nobody:-fix}", ["prefix"]),
        ("a\\ b '' c", ["a b", "c"]),
    ],
)
def test_words_are_split_after_the_replacement(source: str, words: list[str]) -> None:
    assert list(Lexer().expand(source, ENV).words) == words


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("'open", "single-quote"),
        ('"open', "double-quote"),
        ("${home", "unsupported modifier"),
        ("${home:-x", "missing '}'"),
        ("${}", "bad substitution"),
        ("${home:#x}", "unsupported modifier (:#)"),
        ("${nobody:?go home}", "nobody: go home"),
        ("${nobody?}", "nobody: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${home#\\x}", "invalid escape"),
        ("${a:-" * 200, "nested"),
    ],
)
def test_what_cannot_be_expanded_is_refused(source: str, reason: str) -> None:
    with pytest.raises(ExpansionFailed) as caught:
        Lexer().expand(source, ENV)
    assert reason in str(caught.value)


def test_names_that_were_met_are_told() -> None:
    found = Lexer().expand("$home ${nobody:-$file}", ENV)
    assert found.used == {"home", "file"}
    assert found.missing == {"nobody"}


def test_the_escape_character_can_be_another() -> None:
    assert Lexer(escape="`").expand(r"`$home C:\x $home", ENV).text == r"$home C:\x /root"
