"""A client's directory comes whole, then only what changed; a client that lies is refused."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.buildkit import copies, filesync, gomode, grpc
from sampan.buildkit.filesync import DATA, ERROR, FIN, STAT, Wanted
from sampan.image import tar
from sampan.kit import errors
from sampan.linux import proc

from .client import DIRECTORY, LINK, REGULAR, Client, contents, session

CONTEXT = Wanted(name="context")
Files = dict[str, bytes | str | None]


def fetch(root: Path, client: Client, key: str = "", wanted: Wanted = CONTEXT) -> Files:
    async def work() -> Files:
        async with session(client) as caller:
            copy = copies.kept(str(root), key) if key else copies.passing(str(root))
            with copy.pack:
                tree = await filesync.fetch(caller, wanted, copy, lambda _: None)
                return contents(tree)

    return asyncio.run(work())


names = st.sampled_from(["a", "b", "a.b", "é", "-"])
trees = st.recursive(
    st.binary(max_size=40) | st.sampled_from(["a", "../b"]),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def flat(tree: Any, top: str = "") -> Files:
    found: Files = {}
    for name, body in tree.items():
        path = f"{top}/{name}" if top else name
        found[path] = None if isinstance(body, dict) else body
        if isinstance(body, dict):
            found |= flat(body, path)
    return found


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(names, trees, max_size=4), st.dictionaries(names, trees, max_size=4))
def test_what_the_client_has_is_what_is_seen(tmp_path: Path, one: Any, other: Any) -> None:
    assert fetch(tmp_path, Client(flat(one)), "key") == flat(one)
    client = Client(flat(other))
    client.mtime = 2 * 10**9
    assert fetch(tmp_path, client, "key") == flat(other)


def test_only_what_changed_is_sent_again(tmp_path: Path) -> None:
    client = Client({"d": None, "d/one": b"1" * 20, "link": "d/one", "two": b"2" * 20, "no": b""})
    assert fetch(tmp_path, client, "key") == client.files
    assert client.asked == ["d/one", "two"]
    client.asked.clear()
    client.files["two"] = b"22"
    assert fetch(tmp_path, client, "key") == client.files
    assert client.asked == ["two"]
    client.asked.clear()
    assert fetch(tmp_path, client, "other") == client.files
    assert client.asked == ["d/one", "two"]


def test_what_has_not_changed_is_not_hashed_again(tmp_path: Path) -> None:
    client = Client({"one": b"1" * 20, "two": b"2" * 20})

    async def hashes() -> dict[str, bytes]:
        async with session(client) as caller:
            copy = copies.kept(str(tmp_path), "key")
            with copy.pack:
                tree = await filesync.fetch(caller, CONTEXT, copy, lambda _: None)
                found = {name: tree.digest(name) for name in tree.children("")}
                tree.save()
                return found

    first = asyncio.run(hashes())
    assert first == {name: sha256(data).digest() for name, data in client.files.items()}
    (index,) = (tmp_path / "build/digests").iterdir()
    marked = index.read_text().replace(first["one"].hex(), "0" * 64)
    index.write_text(marked.replace(first["two"].hex(), "0" * 64))
    client.files["two"] = b"22"
    assert asyncio.run(hashes()) == {"one": bytes(32), "two": sha256(b"22").digest()}


@pytest.mark.parametrize("key", ["", "key"])
def test_holes_are_read_as_zeros(tmp_path: Path, key: str) -> None:
    client = Client({"hole": bytes(20), "end": b"1234567" + bytes(7), "start": bytes(7) + b"1"})
    assert fetch(tmp_path, client, key) == client.files


def test_what_is_kept_is_of_this_boot_and_not_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client({"one": b"1"})
    fetch(tmp_path, client, "key")
    monkeypatch.setattr(proc, "boot_id", lambda: "later")
    client.asked.clear()
    assert fetch(tmp_path, client, "key") == client.files
    assert client.asked == ["one"]


def test_a_pack_of_waste_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_WASTE", 100)
    client = Client({"kept": b"k"})
    for turn in range(9):
        client.files["big"] = bytes([turn + 1]) * 60
        client.mtime += 1
        assert fetch(tmp_path, client, "key") == client.files
    held = sum(path.stat().st_size for path in (tmp_path / "build/contexts/key").iterdir())
    assert held < 1000


def test_a_copy_that_nobody_asked_for_in_two_days_goes(tmp_path: Path) -> None:
    import os

    fetch(tmp_path, Client({"one": b"1"}), "old")
    fetch(tmp_path, Client({"one": b"1"}), "young")
    os.utime(tmp_path / "build/contexts/old", (1, 1))
    fetch(tmp_path, Client({}), "new")
    assert sorted(path.name for path in (tmp_path / "build/contexts").iterdir()) == ["new", "young"]


def test_patterns_and_names_go_as_headers_can_carry_them(tmp_path: Path) -> None:
    client = Client({})
    fetch(tmp_path, client, wanted=Wanted(name="x", include=("a b",), exclude=("é*", "!c")))
    told = dict(client.metadata)
    assert (told["dir-name"], told["followpaths"]) == ("x", "a b")
    assert [value for name, value in client.metadata if name == "exclude-patterns"] == [
        "%C3%A9%2A",
        "%21c",
    ]
    assert told["exclude-patterns-encoded"] == "1"


def stat(path: str, mode: int = REGULAR, **more: Any) -> dict[str, Any]:
    return {"type": STAT, "stat": {"path": path, "mode": mode, **more}}


END = {"type": STAT}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([stat("../x")], "'../x': not a path below the directory"),
        ([stat("/etc/passwd")], "not a path below the directory"),
        ([stat("a/../../b")], "not a path below the directory"),
        ([stat("")], "not a path below the directory"),
        ([stat("a\0b")], "not a path below the directory"),
        ([stat("b"), stat("a")], "'a': out of order"),
        ([stat("a"), stat("a")], "'a': out of order"),
        ([stat("a"), stat("a/b")], "'a/b': it lies below what is no directory"),
        ([stat("l", LINK, linkname="/etc"), stat("l/b")], "it lies below what is no directory"),
        ([stat("a", linkname="b")], "a hard link to b, which is not there"),
        ([stat("a", size=-1)], "a size of -1 bytes"),
        ([stat("d", DIRECTORY), END, {"type": DATA, "ID": 0, "data": b"x"}], "not asked for"),
        ([{"type": ERROR, "data": b"disk on fire"}], "error from sender: disk on fire"),
        ([{"type": 9}], "a packet of type 9"),
        ([stat("a", size=5)], "stopped in the middle"),
        ([stat("a", size=5), END, {"type": DATA, "ID": 0, "data": b"12"}], "stopped in the middle"),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_how(
    tmp_path: Path, script: list[dict[str, Any]], why: str
) -> None:
    client = Client()
    client.script = script
    with pytest.raises(errors.SampanError, match=why.replace(".", r"\.")):
        fetch(tmp_path, client)


def test_a_file_that_changes_meanwhile_is_no_longer_than_announced(tmp_path: Path) -> None:
    data = [{"type": DATA, "ID": n, "data": b"12345"} for n in (0, 1)]
    ends = [{"type": DATA, "ID": n} for n in (0, 1)]
    client = Client()
    client.script = [stat("grew", size=3), stat("shrank", size=9), END, *data, *ends, {"type": FIN}]
    assert fetch(tmp_path, client) == {"grew": b"123", "shrank": b"12345"}


def test_a_client_that_goes_away_is_an_end_and_not_a_wait(tmp_path: Path) -> None:
    async def work() -> None:
        client = Client({"one": b"1"})
        gone = asyncio.Event()

        async def vanish(stream: Any) -> None:
            await stream.send_message(END)
            gone.set()
            await asyncio.Event().wait()

        client.service.methods.clear()
        client.service.streaming(filesync.METHOD, messages_packet, messages_packet, vanish)
        async with session(client) as caller:
            with copies.passing(str(tmp_path)).pack as pack:
                copy = copies.Copy(pack, {})
                fetching = asyncio.create_task(
                    filesync.fetch(caller, CONTEXT, copy, lambda _: None)
                )
                await gone.wait()
                caller.channel.close()
                with pytest.raises(grpc.SessionEnded):
                    await fetching

    from sampan.buildkit.messages import PACKET as messages_packet

    asyncio.run(work())


@given(st.sampled_from(range(7)), st.integers(0, 0o7777))
def test_gos_modes_come_back(kind: int, permissions: int) -> None:
    mode = gomode.of(kind, permissions)
    assert gomode.permissions(mode) == permissions
    assert gomode.kind_of(mode) == (tar.REGULAR if kind == tar.HARD_LINK else kind)
