"""What every log driver keeps; an implementation inherits the class and says how it is read."""

from __future__ import annotations

import pytest

from sampan.shim.logs.lines import LIMIT


class LogDriverContract:
    """`driver` is open; `messages(driver)` closes it and gives [(stream, text without newline)]."""

    def messages(self, driver) -> list[tuple[int, str]]:
        raise NotImplementedError

    def test_each_line_is_kept_with_its_stream(self, driver) -> None:
        driver.write(1, b"one\ntwo\n")
        driver.write(2, b"three\n")
        assert self.messages(driver) == [(1, "one"), (1, "two"), (2, "three")]

    def test_a_line_in_pieces_is_one_message_and_streams_do_not_mix(self, driver) -> None:
        driver.write(1, b"on")
        driver.write(2, b"error\n")
        driver.write(1, b"e\n\nlast")
        assert self.messages(driver) == [(2, "error"), (1, "one"), (1, ""), (1, "last")]

    @pytest.mark.parametrize("length", [LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT + 5])
    def test_a_long_line_loses_nothing(self, driver, length: int) -> None:
        driver.write(1, b"x" * length + b"\nafter\n")
        kept = [text for _, text in self.messages(driver)]
        assert "".join(kept) == "x" * length + "after"
        assert all(len(text) <= LIMIT for text in kept)

    def test_a_driver_that_keeps_up_is_never_full(self, driver) -> None:
        driver.write(1, b"line\n" * 10)
        assert not driver.full
        self.messages(driver)
