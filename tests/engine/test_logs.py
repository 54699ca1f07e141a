"""Reading a json-file log back, rotated files included."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sampan.engine.containers import logs
from sampan.kit import clock
from sampan.spec import docker_stream

T0 = 1_700_000_000_000_000_000


def line(number: int, stream: str = "stdout") -> bytes:
    record = {"log": f"{number}\n", "stream": stream, "time": clock.rfc3339(T0 + number * 10**9)}
    return json.dumps(record).encode() + b"\n"


@pytest.fixture
def container(tmp_path: Path) -> Any:
    path = tmp_path / "x-json.log"
    path.with_name(path.name + ".2").write_bytes(b"".join(map(line, range(3))))
    path.with_name(path.name + ".1").write_bytes(b"".join(map(line, range(3, 6))))
    path.write_bytes(b"".join(map(line, range(6, 9))) + line(9, "stderr") + b'{"log":"half')
    return SimpleNamespace(log_path=str(path), running=False, host_config={})


def read(container: Any, **options: Any) -> str:
    async def body() -> bytes:
        chosen = logs.Options(multiplexed=False, **options)
        return b"".join([chunk async for chunk in logs.read(container, chosen)])

    return asyncio.run(body()).decode().replace("\n", " ").strip()


def test_all_files_in_order_without_the_unfinished_line(container: Any) -> None:
    assert read(container) == "0 1 2 3 4 5 6 7 8 9"


@pytest.mark.parametrize(
    ("tail", "expected"), [(0, ""), (1, "9"), (5, "5 6 7 8 9"), (99, "0 1 2 3 4 5 6 7 8 9")]
)
def test_tail_reaches_into_rotated_files(container: Any, tail: int, expected: str) -> None:
    assert read(container, tail=tail) == expected


def test_tail_counts_only_what_is_shown(container: Any) -> None:
    assert read(container, tail=2, stderr=False) == "7 8"
    assert read(container, stdout=False) == "9"


def test_times(container: Any) -> None:
    since, until = T0 + 4 * 10**9, T0 + 6 * 10**9
    assert read(container, since=since, until=until) == "4 5 6"
    assert read(container, tail=1, timestamps=True) == f"{clock.rfc3339(T0 + 9 * 10**9)} 9"


def test_frames_name_their_stream(container: Any) -> None:
    async def body() -> bytes:
        options = logs.Options(tail=2)
        return b"".join([chunk async for chunk in logs.read(container, options)])

    frames = list(docker_stream.FrameDecoder().feed(asyncio.run(body())))
    assert [(f.stream, f.payload) for f in frames] == [(1, b"8\n"), (2, b"9\n")]


def test_a_line_longer_than_a_chunk_is_found_by_tail(container: Any) -> None:
    long = json.dumps({"log": "x" * 600_000 + "\n", "stream": "stdout", "time": clock.ZERO})
    Path(container.log_path).write_bytes(long.encode() + b"\n" + line(1))
    assert len(read(container, tail=2)) == 600_000 + 2


def rotate(path: Path) -> None:
    with path.open("ab") as file:
        file.write(line(7))
    path.rename(path.with_name(path.name + ".1"))
    path.write_bytes(line(8))


def finish(path: Path, container: Any) -> None:
    container.running = False
    with path.open("ab") as file:
        file.write(line(9))


def test_follow_goes_on_over_a_rotation(container: Any) -> None:
    """Nothing is lost or doubled when the file is renamed while it is being followed."""
    path = Path(container.log_path)
    path.write_bytes(line(6))

    async def body() -> bytes:
        container.running, container.changed = True, asyncio.Condition()
        received = b""
        options = logs.Options(multiplexed=False, follow=True, tail=1)
        async with asyncio.timeout(10):
            async for chunk in logs.read(container, options):
                received += chunk
                if received == b"6\n":
                    rotate(path)
                elif received.endswith(b"8\n"):
                    finish(path, container)
        return received

    assert asyncio.run(body()) == b"6\n7\n8\n9\n"
