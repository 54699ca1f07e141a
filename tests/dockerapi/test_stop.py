"""A PID 1 that does not hear the stop signal is not waited for in silence."""

import concurrent.futures
import io
import tarfile

import pytest

from tests.dockerapi.test_containers import output, remove
from tests.engine_process import PATIENCE, Engine, head, read_to_end
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount")
READY = "echo ready; while :; do sleep 0.05; done"


def stop(engine: Engine, container: str, query: str = "") -> str:
    """The answer's Warning header."""
    with engine.connect() as sock:
        sock.settimeout(PATIENCE)
        path = f"/containers/{container}/stop{query}"
        sock.sendall(head("POST", path, None, {"Connection": "close"}))
        lines = read_to_end(sock).decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 204 No Content", lines
    return next((line for line in lines if line.startswith("Warning:")), "")


def run(engine: Engine, script: str, **config: object) -> str:
    container = engine.run("sh", "-c", script, **config)
    until(lambda: b"ready" in output(engine, container))
    return container


@pytest.mark.parametrize("script", [READY, f"trap '' TERM; {READY}"])
def test_one_that_does_not_hear_is_killed_at_once_and_told_of(engine: Engine, script: str) -> None:
    container = run(engine, script)
    said = stop(engine, container)
    assert "PID 1 does not handle SIGTERM, so it was killed at once" in said
    assert engine.inspect(container)["State"]["ExitCode"] == 137
    assert "PID 1 does not handle SIGTERM" in engine.log()
    remove(engine, container)


@pytest.mark.parametrize(
    ("script", "config", "code"),
    [
        (f"trap 'exit 7' TERM; {READY}", {}, 7),
        (READY, {"HostConfig": {"Init": True, "NetworkMode": "none"}}, 143),
        (READY, {"HostConfig": {"PidMode": "host", "NetworkMode": "none"}}, 143),
    ],
)
def test_one_that_hears_is_given_its_time(
    engine: Engine, script: str, config: dict[str, object], code: int
) -> None:
    container = run(engine, script, **config)
    assert stop(engine, container) == ""
    assert engine.inspect(container)["State"]["ExitCode"] == code
    remove(engine, container)


def test_a_patience_that_was_asked_for_is_kept(engine: Engine) -> None:
    script = "echo ready; until [ -e /done ]; do sleep 0.05; done; exit 4"
    container = run(engine, script)
    with concurrent.futures.ThreadPoolExecutor(1) as pool, io.BytesIO() as made:
        with tarfile.open(fileobj=made, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("done"))
        stopping = pool.submit(stop, engine, container, "?t=15")
        until(lambda: "had 15 s all the same" in engine.log())
        engine.request("PUT", f"/containers/{container}/archive?path=/", made.getvalue())
        assert "had 15 s all the same" in stopping.result()
    assert engine.inspect(container)["State"]["ExitCode"] == 4
    remove(engine, container)
