"""Both network stores keep the contract: SQLite on one host, a real etcd for several."""

import asyncio
import contextlib
import uuid

import pytest

from sampan.network.shared.etcd import EtcdStore
from sampan.network.shared.etcd_gateway import Gateway
from sampan.network.shared.sqlite import SqliteStore
from sampan.network.shared.store import NetworkStore, StoreUnavailable
from tests import etcd_server

from .network_store_contract import TTL, NetworkStoreContract


class TestSqlite(NetworkStoreContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.path = str(tmp_path / "networks.db")

    @contextlib.contextmanager
    def stores(self, number: int):
        yield [SqliteStore(self.path, ttl=TTL, hold=900) for _ in range(number)]

    def test_a_file_that_cannot_be_is_unavailable(self):
        store = SqliteStore("/nowhere/networks.db", ttl=TTL, hold=900)
        with pytest.raises(StoreUnavailable, match=r"/nowhere/networks\.db"):
            asyncio.run(store.join())


@pytest.fixture(scope="module")
def etcd():
    with etcd_server.running() as url:
        yield url


def a_store(url: str, prefix: str, *more: str) -> NetworkStore:
    return EtcdStore(Gateway([*more, url], patience=5), prefix=prefix, ttl=TTL, hold=900)


@etcd_server.needed
class TestEtcd(NetworkStoreContract):
    @pytest.fixture(autouse=True)
    def _url(self, etcd):
        self.url = etcd

    @contextlib.contextmanager
    def stores(self, number: int):
        prefix = f"/{uuid.uuid4()}/"
        yield [a_store(self.url, prefix) for _ in range(number)]

    def test_the_first_member_that_answers_is_asked(self):
        async def body():
            store = a_store(self.url, "/first/", "http://127.0.0.1:1")
            await store.join()
            await store.keep()
            await store.close()

        asyncio.run(body())

    def test_nobody_who_answers_is_said(self):
        async def body():
            gateway = Gateway(["http://127.0.0.1:1"], patience=5)
            store = EtcdStore(gateway, prefix="/a/", ttl=TTL, hold=900)
            try:
                with pytest.raises(
                    StoreUnavailable, match=r"at http://127\.0\.0\.1:1: connection ref"
                ):
                    await store.join()
            finally:
                await store.close()

        asyncio.run(body())
