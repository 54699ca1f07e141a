"""Statements become typed instructions; what can never work is refused with a hint."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.build import instructions, parser
from sampan.build.errors import DockerfileError
from sampan.build.shell import Lexer


def one(text: str) -> Any:
    return instructions.parse(parser.parse(text).statements[0])


class Values:
    def __init__(self, **values: str) -> None:
        self.values = values

    def word(self, text: str) -> str:
        return Lexer().expand(text, self.values).text

    def words(self, text: str) -> tuple[str, ...]:
        return Lexer().expand(text, self.values).words

    def body(self, text: str) -> str:
        return Lexer(keep_quotes=True).expand(text, self.values).text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FORM x", "unknown instruction: FORM (did you mean FROM?)"),
        ("FROM x AS 1a", 'invalid name for build stage: "1a"'),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("COPY a", "COPY requires at least two arguments, but only one was provided"),
        ("COPY --form=x a b", "unknown flag: --form (did you mean from?)"),
        ("COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"),
        ("COPY --chown a b", "missing a value on flag: --chown"),
        ("COPY --from=a --from=b a b", "duplicate flag specified: --from"),
        ("COPY a <<E\nE", "COPY cannot accept a heredoc as a destination"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("SHELL sh -c", "SHELL requires the arguments to be in JSON form"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("HEALTHCHECK RUN x", 'Unknown type "RUN" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=5 CMD x", 'invalid duration "5"'),
        ("HEALTHCHECK --interval=1us CMD x", "cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("ENV =x", "ENV names can not be blank"),
        ('VOLUME ["/a", " "]', "VOLUME specified can not be an empty string"),
        ("RUN --network=lan x", 'invalid network mode "lan"'),
        ("RUN --mount=type=chache x", 'unsupported mount type "chache" (did you mean cache?)'),
        ("RUN --mount=type=cache,targt=/x y", "unexpected key 'targt'"),
        ("RUN --mount=from=$x,target=/y z", "'from' doesn't support variable expansion"),
        ("RUN --mount=type=secret x", "one of source, target required"),
        ("RUN --mount=size=1m,target=/x y", "unexpected key 'size' for mount type 'bind'"),
        ("RUN --mount=type=cache,target=/x,mode=9 y", "invalid value 9 for mode"),
        ("RUN --device=a.b/c=d,name=e x", "device name already set to a.b/c=d"),
    ],
)
def test_what_can_never_work_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        one(text)
    assert reason in str(caught.value)
    assert caught.value.line == 1


def test_copy_knows_its_flags_and_files() -> None:
    copy = one('COPY --from=b --chmod=u+x --exclude=*.o --exclude=x a <<f $d/\nhi "$d"\nf')
    copy = copy.expanded(Values(d="/dest"))
    assert (copy.origin, copy.chmod, copy.exclude) == ("b", "u+x", ("*.o", "x"))
    assert (copy.sources, copy.destination) == (("a",), "/dest/")
    assert [(f.name, f.content) for f in copy.inline] == [("f", 'hi "/dest"\n')]


def test_mounts_wait_for_their_variables() -> None:
    run = one("RUN --mount=type=cache,target=$where,sharing=locked,mode=0700 make")
    (mount,) = run.expanded(Values(where="/cache")).mounts
    assert (mount.target, mount.sharing, mount.mode, mount.read_only) == (
        "/cache",
        "locked",
        0o700,
        False,
    )


def test_all_values_of_one_env_see_the_old_ones() -> None:
    env = one("ENV a=new b=$a").expanded(Values(a="old"))
    assert env.pairs == (("a", "new"), ("b", "old"))


def test_health_is_in_nanoseconds() -> None:
    check = one("HEALTHCHECK --interval=1m30.5s --retries=2 CMD curl x")
    assert (check.interval, check.retries) == (90_500_000_000, 2)
    assert check.test == ("CMD-SHELL", "curl x")
    assert one('HEALTHCHECK CMD ["a"]').test == ("CMD", "a")


def test_a_trigger_keeps_its_words_and_heredocs() -> None:
    assert one("onbuild RUN <<E\nx\nE").expression == "RUN <<E\nx\nE"
