from collections.abc import Iterator

import pytest

from tests.engine_process import Engine
from tests.registry import support


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


@pytest.fixture(scope="session")
def other() -> Iterator[Engine]:
    """A second engine, with a root of its own and no image."""
    with Engine(image=False) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Docker's own registry, empty; its address."""
    with support.docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
