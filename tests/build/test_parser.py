"""A Dockerfile's text becomes statements, and what is wrong is named with its place."""

from __future__ import annotations

import pytest

from sampan.build import directives, parser
from sampan.build.errors import DockerfileError, excerpt


def statements(text: str) -> list[tuple[str, ...]]:
    return [(s.name, *s.args) for s in parser.parse(text).statements]


def test_continued_lines_are_one_statement_and_keep_their_place() -> None:
    text = "FROM a\n\n# why\nRUN one \\\n  # not part of it\n\\\n two\nRUN three"
    document = parser.parse(text)
    first, second, third = document.statements
    assert second.args == ("one  two",)
    assert (second.line, second.end, third.line) == (4, 7, 8)
    assert second.comments == ("why",)
    assert first.comments == ()


def test_a_blank_line_in_a_continuation_is_skipped_and_reported() -> None:
    document = parser.parse("FROM a\nRUN x \\\n\n  y\n")
    assert document.statements[1].args == ("x   y",)
    assert document.empty_continuations == (4,)


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    assert statements("\ufeff# escape=`\r\nFROM a\r\nRUN b `\r\n c\r\n") == [
        ("from", "a"),
        ("run", "b  c"),
    ]


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ('CMD ["a", "b c"]', ("a", "b c")),
        ("CMD ['a']", ("['a']",)),  # no JSON: the shell form
        ('CMD ["a"', ('["a"',)),
        ("CMD []", ()),
        ('COPY ["a b", "c"]', ("a b", "c")),
        ("COPY a  b\tc", ("a", "b", "c")),
        ("ARG a b=1 c='x y'", ("a", "b=1", "c='x y'")),
        ('HEALTHCHECK CMD ["x"]', ("CMD", "x")),
        ("healthcheck none", ("none",)),
        ("RUN [NaN]", ("[NaN]",)),
    ],
)
def test_arguments_follow_their_instructions_grammar(line: str, args: tuple[str, ...]) -> None:
    assert parser.parse(line).statements[0].args == args


def test_pairs_keep_quotes_until_they_are_expanded() -> None:
    (statement,) = parser.parse("ENV a=1 b='x y' c=d\\ e").statements
    assert statement.pairs == (("a", "1", "="), ("b", "'x y'", "="), ("c", "d\\ e", "="))
    (legacy,) = parser.parse("ENV name the whole = rest").statements
    assert legacy.pairs == (("name", "the whole = rest", ""),)


def test_flags_lose_their_quotes_and_end_at_two_dashes() -> None:
    (statement,) = parser.parse('COPY --chown="a b" --link -- --odd x').statements
    assert statement.flags == ("--chown=a b", "--link")
    assert statement.args == ("--odd", "x")


def test_several_heredocs_follow_one_line() -> None:
    text = "COPY <<one <<-'two' /x/\n1 $a\none\n\t2\n\t  $b\n\ttwo\nRUN <<EOF\nls\nEOF"
    copy, run = parser.parse(text).statements
    one, two = copy.heredocs
    assert (one.body, one.expand) == ("1 $a\n", True)
    assert (two.body, two.expand) == ("2\n  $b\n", False)
    assert run.heredocs[0].content == "ls\n"
    assert run.line == 7


def test_a_heredoc_inside_onbuild_belongs_to_the_trigger() -> None:
    (statement,) = parser.parse("ONBUILD RUN <<E\nx\nE").statements
    assert statement.trigger
    assert statement.trigger.name == "run"
    assert statement.heredocs[0].content == "x\n"


def test_arrows_of_arithmetic_are_no_heredoc() -> None:
    (statement,) = parser.parse('RUN echo $((1<<2)) "<<EOF"').statements
    assert not statement.heredocs or statement.heredocs[0].name != "EOF"


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("", "file with no instructions", 1),
        ("# only\n\n", "file with no instructions", 2),
        ("FROM a\nENV x", "ENV must have two arguments", 2),
        ("FROM a\nENV x=1 y", 'Syntax error - can\'t find = in "y"', 2),
        ("RUN <<EOF\nx\n", "unterminated heredoc", 1),
        ('\n\nCMD ["a", 1]', "arrays must be comprised of strings only", 3),
        ("# escape=x\nFROM a", "invalid escape token 'x'", 1),
        ("# escape=`\n# Escape=`\nFROM a", "only one escape parser directive", 2),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, reason: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        parser.parse(text)
    assert reason in str(caught.value)
    assert caught.value.line == line


def test_an_excerpt_marks_the_guilty_lines() -> None:
    text = "FROM a\nENV \\\n  x\nRUN b"
    with pytest.raises(DockerfileError) as caught:
        parser.parse(text)
    assert excerpt(caught.value, text).splitlines()[2:6] == [
        "   1 |     FROM a",
        "   2 | >>> ENV \\",
        "   3 | >>>   x",
        "   4 |     RUN b",
    ]


def test_directives_stand_at_the_top_only() -> None:
    document = parser.parse("# Syntax = a/b:1 \n# check=skip=all\nFROM x\n# escape=`\nRUN a\\\nb")
    assert {n: d.value for n, d in document.directives.items()} == {
        "syntax": "a/b:1",
        "check": "skip=all",
    }
    assert document.statements[1].args == ("ab",)


@pytest.mark.parametrize(
    "text",
    ["#!/usr/bin/x\n# syntax=s\n", "// syntax=s\n{}", '#!x\n{"syntax": "s"}', '{"syntax":"s"}'],
)
def test_a_frontend_is_found_in_any_form(text: str) -> None:
    found = directives.find("syntax", text, any_form=True)
    assert found
    assert found.value == "s"
