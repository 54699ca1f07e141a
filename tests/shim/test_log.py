"""Docker's json-file log, as a reader of the files sees it."""

from __future__ import annotations

import json
import os

import pytest

from sampan.shim.logs.json_file import JsonFile
from sampan.shim.protocol import Log


def log_at(directory, **more) -> JsonFile:
    return JsonFile(Log(driver="json-file", path=f"{directory}/log", **more))


def records(path) -> list[dict]:
    with open(path, encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def texts(path) -> list[str]:
    return [record["log"] for record in records(path)]


def test_each_line_is_a_record_with_stream_and_time(tmp_path) -> None:
    log = log_at(tmp_path)
    log.write(1, b"one\ntwo\n")
    log.write(2, b"three\n")
    log.close()
    assert [(r["log"], r["stream"]) for r in records(tmp_path / "log")] == [
        ("one\n", "stdout"),
        ("two\n", "stdout"),
        ("three\n", "stderr"),
    ]
    assert all(r["time"].endswith("Z") and len(r["time"]) == 30 for r in records(tmp_path / "log"))


def test_a_line_written_in_pieces_is_one_record_and_streams_do_not_mix(tmp_path) -> None:
    log = log_at(tmp_path)
    log.write(1, b"on")
    log.write(2, b"error\n")
    log.write(1, b"e\n\nlast")
    log.close()
    assert texts(tmp_path / "log") == ["error\n", "one\n", "\n", "last"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'say "hi" \\ <b>&amp;</b>', 'say "hi" \\ <b>&amp;</b>'),
        (b"\x1b[31mred\x1b[0m\t\r\x00", "\x1b[31mred\x1b[0m\t\r\x00"),
        ("Grüße, 世界 🐳".encode(), "Grüße, 世界 🐳"),
        (b"bad \xff\xfe\xe2\x82 end", "bad \ufffd\ufffd\ufffd\ufffd end"),
    ],
)
def test_any_byte_can_be_logged(tmp_path, written: bytes, read: str) -> None:
    log = log_at(tmp_path)
    log.write(1, written + b"\n")
    log.close()
    assert texts(tmp_path / "log") == [read + "\n"]


def test_html_and_control_characters_are_escaped_as_go_does(tmp_path) -> None:
    log = log_at(tmp_path)
    log.write(1, b'<\x1b\t\r"\n')
    log.close()
    assert (tmp_path / "log").read_bytes().startswith(b'{"log":"\\u003c\\u001b\\u0009\\r\\"\\n",')


def test_long_lines_are_split_at_16_kib(tmp_path) -> None:
    log = log_at(tmp_path)
    log.write(1, b"a" * 40_000 + b"\nshort\n")
    log.write(1, b"b" * 16_384)
    log.write(1, b"\n")
    log.close()
    assert [len(text) for text in texts(tmp_path / "log")] == [16384, 16384, 7233, 6, 16384, 1]


def test_no_character_is_cut_when_a_long_line_is(tmp_path) -> None:
    line = "x" + "é世🐳" * 9_000
    log = log_at(tmp_path)
    data = line.encode()
    for start in range(0, len(data), 65_536):
        log.write(1, data[start : start + 65_536])
    log.close()
    assert "".join(texts(tmp_path / "log")) == line


def test_rotation_loses_and_doubles_nothing(tmp_path) -> None:
    log = log_at(tmp_path, max_size=2_000, max_file=200)
    for start in range(0, 1000, 10):
        log.write(1, b"".join(b"line %d\n" % n for n in range(start, start + 10)))
    log.close()
    files = sorted(os.listdir(tmp_path), key=lambda name: -int(name[4:] or 0))
    assert len(files) > 20
    assert [t for name in files for t in texts(tmp_path / name)] == [
        f"line {n}\n" for n in range(1000)
    ]
    assert all(os.path.getsize(tmp_path / name) < 2_200 for name in files)


def test_rotation_keeps_max_file_files(tmp_path) -> None:
    log = log_at(tmp_path, max_size=500, max_file=3)
    for n in range(200):
        log.write(1, b"line %d\n" % n)
    log.close()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]
    assert texts(tmp_path / "log")[-1] == "line 199\n"


def test_one_file_is_begun_again_when_full(tmp_path) -> None:
    log = log_at(tmp_path, max_size=500, max_file=1)
    for n in range(200):
        log.write(1, b"line %d\n" % n)
    log.close()
    assert os.listdir(tmp_path) == ["log"]
    assert os.path.getsize(tmp_path / "log") < 700
    assert texts(tmp_path / "log")[-1] == "line 199\n"


def test_labels_travel_with_each_record(tmp_path) -> None:
    log = log_at(tmp_path, labels={"a": "ü"})
    log.write(1, b"x\n")
    log.close()
    assert records(tmp_path / "log")[0]["attrs"] == {"a": "ü"}


def test_a_restart_appends(tmp_path) -> None:
    for word in (b"one\n", b"two\n"):
        log = log_at(tmp_path)
        log.write(1, word)
        log.close()
    assert texts(tmp_path / "log") == ["one\n", "two\n"]


@pytest.mark.needs("mount")
def test_a_full_disk_loses_whole_records_and_says_how_many(own_mounts, tmp_path) -> None:
    from sampan.linux import mount

    def body() -> None:
        mount.mount("tmpfs", str(tmp_path), "tmpfs", data="size=64k")
        ballast = tmp_path / "ballast"
        ballast.write_bytes(b"x" * 40_000)
        log = log_at(tmp_path)
        for n in range(1000):
            log.write(1, b"line %d\n" % n)
        ballast.unlink()
        log.write(1, b"space again\n")
        log.close()
        *kept, confession, last = texts(tmp_path / "log")
        assert kept == [f"line {n}\n" for n in range(len(kept))] and kept
        assert confession == (
            f"sampan: {1000 - len(kept)} log records were lost here: No space left on device\n"
        )
        assert last == "space again\n"

    own_mounts(body)
