"""What a container's file system takes, counted while it changes."""

import os
from types import SimpleNamespace

from sampan.engine.containers import usage
from sampan.image.native import Native


def test_a_container_that_was_just_removed_takes_nothing(tmp_path):
    """`df` and `ps --size` had chosen it before."""
    engine = SimpleNamespace(snapshots=Native(str(tmp_path)))
    assert usage.writable_layer(SimpleNamespace(engine=engine, id="gone")) == 0


def test_a_file_that_goes_while_it_is_counted_is_none(tmp_path, monkeypatch):
    snapshots = Native(str(tmp_path))
    snapshots.prepare("one", None)
    place = snapshots.mounts("one")[0].source
    for name in ("stays", "goes"):
        with open(f"{place}/{name}", "w") as file:
            file.write("1234")
    walk = os.walk

    def walked(top):
        for found in walk(top):
            if "goes" in found[2]:
                os.unlink(f"{found[0]}/goes")
            yield found

    monkeypatch.setattr(os, "walk", walked)
    engine = SimpleNamespace(snapshots=snapshots)
    assert usage.writable_layer(SimpleNamespace(engine=engine, id="one")) == 4
