from collections.abc import Iterator

import pytest

from tests.engine_process import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One engine for all tests of this room; each removes its own containers."""
    with Engine() as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    """An engine that a test may kill."""
    with Engine() as running:
        yield running
