"""Swap is limited only where the kernel counts it."""

from pathlib import Path

import pytest

from sampan.engine.containers import lacking


@pytest.mark.parametrize(
    ("controller", "files", "has"),
    [
        ("memory", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"], True),
        ("memory", ["memory.limit_in_bytes"], False),
        ("", ["memory.max", "memory.swap.max"], True),
        ("", ["memory.max"], False),
        ("", [], True),  # no memory controller: the limit itself is refused
    ],
)
def test_where_swap_is_counted(
    tmp_path: Path, controller: str, files: list[str], has: bool
) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert lacking.has_swap_limit({controller: str(tmp_path)}) is has
