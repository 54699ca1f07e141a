import pytest

from sampan.image import content
from sampan.registry.store import MemoryStore, Store
from tests.registry.store_contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestContentFiles(StoreContract):
    @pytest.fixture
    def store(self, tmp_path) -> Store:
        return content.FileStore(str(tmp_path))
