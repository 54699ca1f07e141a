"""Log drivers from a user's side: what is sent, what can be read back, what is refused."""

from __future__ import annotations

import re
import socket

import pytest


def with_log(driver: str, **options: str) -> dict:
    config = {name.replace("_", "-"): value for name, value in options.items()}
    return {"HostConfig": {"LogConfig": {"Type": driver, "Config": config}}}


def logs(engine, container: str) -> list[str]:
    status, body = engine.request("GET", f"/containers/{container}/logs?stdout=1")
    assert status == 200
    return re.findall(r"line \d+", body.decode())


def test_local_rotates_compresses_and_reads_back(engine) -> None:
    script = 'i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done'
    container = engine.run("sh", "-c", script, **with_log("local", max_size="30k", max_file="4"))
    engine.wait(container)
    read = logs(engine, container)
    assert read == [f"line {number}" for number in range(2000 - len(read), 2000)]
    assert 500 < len(read) < 2000
    status, body = engine.request("GET", f"/containers/{container}/logs?stdout=1&tail=700")
    assert status == 200
    assert re.findall(r"line \d+", body.decode()) == read[-700:]
    assert engine.inspect(container)["LogPath"] == ""


def test_syslog_gets_the_lines_and_the_cache_can_be_read(engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        address = f"udp://localhost:{receiver.getsockname()[1]}"
        container = engine.run(
            "sh", "-c", "echo line 1; echo line 2 >&2",
            **with_log("syslog", syslog_address=address, syslog_facility="local3",
                       tag="{{.Name}}/{{.ID}}", syslog_format="rfc5424"),
        )  # fmt: skip
        name = engine.inspect(container)["Name"].lstrip("/")
        received = {receiver.recv(65536).decode() for _ in range(2)}
    tag = re.escape(f"{name}/{container[:12]}")
    patterns = (rf"<158>1 .* {tag} \d+ {tag} - line 1\n", rf"<155>1 .* {tag} \d+ {tag} - line 2\n")
    for pattern in patterns:
        assert any(re.fullmatch(pattern, message) for message in received), received
    engine.wait(container)
    assert logs(engine, container) == ["line 1"]


def test_without_a_cache_there_is_nothing_to_read(engine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{receiver.getsockname()[1]}"
        config = with_log("syslog", syslog_address=address, cache_disabled="true")
        container = engine.run("true", **config)
        engine.wait(container)
    status, answer = engine.request("GET", f"/containers/{container}/logs?stdout=1")
    assert (status, answer["message"]) == (
        501,
        "configured logging driver does not support reading",
    )


def test_a_syslog_receiver_that_is_not_there_fails_the_start(engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = with_log("syslog", syslog_address=f"tcp://127.0.0.1:{port}")
    container = engine.create("true", **config)
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status == 500
    assert "failed to initialize logging driver: syslog: connect 127.0.0.1" in answer["message"]
    assert engine.inspect(container)["State"]["Status"] == "created"


@pytest.mark.parametrize(
    ("driver", "options", "message"),
    [
        ("nosuch", {}, "logger: no log driver named 'nosuch' is registered"),
        ("json-file", {"max_sise": "1"}, "unknown log opt 'max-sise' for json-file log driver"),
        ("json-file", {"max_size": "big"}, "invalid max-size: 'big' (for example 10m)"),
        ("local", {"max_file": "0"}, "max-file must be a positive number, not '0'"),
        ("local", {"compress": "maybe"}, "compress must be true or false, not 'maybe'"),
        ("local", {"mode": "fast"}, "logger: logging mode 'fast' not supported"),
        ("local", {"max_buffer_size": "1m"}, "only supported with 'mode=non-blocking'"),
        ("syslog", {"syslog_address": "ftp://x"}, "should be in form proto://address"),
        ("syslog", {"syslog_facility": "nobody"}, "invalid syslog facility"),
        ("syslog", {"syslog_format": "rfc1"}, "Invalid syslog format: rfc1"),
        ("journald", {"tag": "{{.Nmae}}"}, "log opt tag: no word .Nmae"),
    ],
)
def test_bad_options_are_refused_at_create(engine, driver, options, message) -> None:
    body = {"Image": "busybox", **with_log(driver, **options)}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status == 400
    assert message in answer["message"]
