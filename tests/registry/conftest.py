import pytest

from tests.registry import support


@pytest.fixture(scope="session")
def registry(tmp_path_factory) -> str:
    """`127.0.0.1:PORT` of a docker-registry of our own."""
    with support.docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
