"""When a pull's layers are unpacked; what unpacks them is tested in the image room."""

import asyncio

import pytest

from sampan.engine.images import register
from sampan.engine.images.unpacking import Unpacking
from sampan.kit import errors
from sampan.registry.events import Event

LARGE = 20 << 20
LAYERS = [({"digest": f"sha256:{n}"}, f"sha256:d{n}") for n in range(3)]


class Unpacked:
    """Stands for `register.unpack`: says what was asked for, in order."""

    def __init__(self):
        self.asked, self.cancelled = [], []
        self.fail, self.gate = False, asyncio.Event()

    async def __call__(self, engine, lease, digest, *, chain, diff_id, follow=0):
        self.asked.append((digest, diff_id, len(chain), follow))
        if follow:
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.cancelled.append(digest)
                raise
            if self.fail:
                raise errors.Unavailable("something else came")
        return 1


def coming(digest, current=1, total=LARGE):
    return Event(kind="transferring", digest=digest, current=current, total=total)


@pytest.fixture
def run(monkeypatch):
    def run(body):
        async def main():
            unpacked, told = Unpacked(), []
            monkeypatch.setattr(register, "unpack", unpacked)
            await body(Unpacking(None, None, told.append, set()), unpacked, told)

        asyncio.run(main())

    return run


def test_one_large_layer_at_a_time_is_followed(run):
    async def body(unpacking, unpacked, told):
        unpacking.heard(coming("sha256:1"))  # the config is not known yet
        unpacking.expect(LAYERS)
        unpacking.heard(coming("sha256:0", total=1000))
        unpacking.heard(coming("sha256:1"))
        unpacking.heard(coming("sha256:1"))
        unpacking.heard(coming("sha256:2"))
        await asyncio.sleep(0)
        assert unpacked.asked == [("sha256:1", "sha256:d1", 2, LARGE)]
        unpacked.gate.set()
        for layer in LAYERS:
            await unpacking.begin(*layer)
        await unpacking.finish()
        assert sorted(event.digest for event in told) == [d["digest"] for d, _ in LAYERS]
        unpacking.heard(coming("sha256:2"))
        await asyncio.sleep(0)
        assert unpacked.asked[-1] == ("sha256:2", "sha256:d2", 3, LARGE)

    run(body)


def test_what_could_not_be_followed_is_unpacked_when_it_is_there(run):
    async def body(unpacking, unpacked, told):
        unpacked.fail = True
        unpacking.expect(LAYERS[:1])
        unpacking.heard(coming("sha256:0"))
        await unpacking.begin(*LAYERS[0])
        await asyncio.sleep(0)
        assert told == []
        unpacked.gate.set()
        await unpacking.finish()
        assert unpacked.asked[-1] == ("sha256:0", "sha256:d0", 1, 0)
        assert [event.kind for event in told] == ["complete"]

    run(body)


def test_a_pull_that_is_given_up_follows_nothing_more(run):
    async def body(unpacking, unpacked, told):
        unpacking.expect(LAYERS)
        unpacking.heard(coming("sha256:0"))
        await asyncio.sleep(0)
        await unpacking.cancel()
        assert unpacked.cancelled == ["sha256:0"]

    run(body)
