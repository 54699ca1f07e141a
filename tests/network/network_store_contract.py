"""What every network store promises. Subclass it, provide `stores`."""

import asyncio
import contextlib

import pytest

from sampan.network.shared.store import Changes, Life, NetworkStore, StoreUnavailable

TTL = 2  # seconds, the shortest lease that etcd gives
PATIENCE = 20.0


class Followed:
    """What a store says since a revision, put together."""

    def __init__(self, store: NetworkStore, revision: int) -> None:
        self._stream = store.changes(revision)

    async def until(self, key: str) -> tuple[int, Changes]:
        """All changes up to the first of this key."""
        found: Changes = {}
        async with asyncio.timeout(PATIENCE):
            while key not in found:
                revision, changed = await anext(self._stream)
                found |= changed
        return revision, found

    async def close(self) -> None:
        await self._stream.aclose()


class NetworkStoreContract:
    """`stores(number)` gives that many hosts' stores, all of the same thing, which is empty."""

    def stores(self, number: int) -> contextlib.AbstractContextManager[list[NetworkStore]]:
        raise NotImplementedError

    def play(self, body, number: int = 2) -> None:
        async def run(stores):
            try:
                for store in stores:
                    await store.join()
                await body(*stores)
            finally:
                for store in stores:
                    await store.close()

        with self.stores(number) as stores:
            asyncio.run(run(stores))

    def test_what_one_writes_the_other_reads(self):
        async def body(one, other):
            await one.put({"a/1": "eins", "b": "zwei ü"}, Life.FOREVER)
            assert (await other.read())[1] == {"a/1": "eins", "b": "zwei ü"}
            await other.delete(["b", "never"])
            assert (await one.read())[1] == {"a/1": "eins"}

        self.play(body)

    def test_only_one_has_a_claim_and_it_is_all_or_nothing(self):
        async def body(one, other):
            assert await one.claim({"x": "one", "y": "one"}, Life.ADDRESSES)
            assert await one.claim({"x": "one"}, Life.ADDRESSES)
            assert not await other.claim({"w": "other", "x": "other"}, Life.ADDRESSES)
            assert (await other.read())[1] == {"x": "one", "y": "one"}
            won = await asyncio.gather(
                *(s.claim({f"race{n}": str(id(s))}, Life.FOREVER) for n in range(20)
                  for s in (one, other))
            )  # fmt: skip
            assert sum(won) == 20

        self.play(body)

    def test_changes_are_told_from_a_revision_on(self):
        async def body(one, other):
            await one.put({"old": "1"}, Life.FOREVER)
            revision, _ = await other.read()
            await one.put({"new": "2"}, Life.FOREVER)
            told = Followed(other, revision)
            later, changed = await told.until("new")
            assert changed == {"new": "2"}
            assert later > revision
            await one.delete(["old"])
            assert (await told.until("old"))[1] == {"old": None}
            await told.close()
            again = Followed(other, revision)
            assert (await again.until("old"))[1] == {"new": "2", "old": None}
            await again.close()

        self.play(body)

    def test_many_keys_at_once(self):
        async def body(one, other):
            many = {f"k{n:04}": "v" * 50 for n in range(450)}
            await one.put(many, Life.PRESENCE)
            assert (await other.read())[1] == many
            await one.delete(list(many))
            assert (await other.read())[1] == {}

        self.play(body)

    def test_who_is_no_longer_heard_of_is_gone_but_keeps_its_addresses(self):
        async def body(one, other):
            await one.put({"host": "one"}, Life.PRESENCE)
            await one.put({"network": "n"}, Life.FOREVER)
            assert await one.claim({"part": "one"}, Life.ADDRESSES)
            revision, _ = await other.read()
            told = Followed(other, revision)
            assert (await told.until("host"))[1] == {"host": None}
            await told.close()
            assert (await other.read())[1] == {"network": "n", "part": "one"}
            with pytest.raises(StoreUnavailable):
                await one.keep()
            await one.join()
            await one.put({"host": "one"}, Life.PRESENCE)
            assert await one.claim({"part": "one"}, Life.ADDRESSES)
            await one.keep()

        self.play(body)

    def test_who_is_heard_of_in_time_stays(self):
        async def body(one, other):
            await one.put({"kept": "1"}, Life.PRESENCE)
            await other.put({"not kept": "1"}, Life.PRESENCE)
            revision, _ = await one.read()

            async def keep():
                while True:
                    await one.keep()
                    await asyncio.sleep(TTL / 4)  # which is what keeping is

            keeping = asyncio.create_task(keep())
            told = Followed(one, revision)
            assert (await told.until("not kept"))[1] == {"not kept": None}
            await told.close()
            keeping.cancel()
            assert (await one.read())[1] == {"kept": "1"}

        self.play(body)

    def test_who_leaves_is_gone_at_once(self):
        async def body(one, other):
            await one.put({"host": "one"}, Life.PRESENCE)
            await one.claim({"part": "one"}, Life.ADDRESSES)
            await one.put({"stays": "1"}, Life.FOREVER)
            await one.leave()
            assert (await other.read())[1] == {"stays": "1"}

        self.play(body)

    def test_who_closes_is_not_forgotten(self):
        async def body(one, other):
            await one.put({"host": "one"}, Life.PRESENCE)
            await one.close()
            assert (await other.read())[1] == {"host": "one"}

        self.play(body)
