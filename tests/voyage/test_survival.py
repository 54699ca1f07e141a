"""What lives on when the engine dies, and what is left after many lives."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess

from .conftest import IMAGE
from .host import Host
from .programs import Cli, Engine, until


def test_killed_engine_loses_no_line_and_no_exit_code(engine: Engine, sampan: Cli) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo $i; i=$((i+1)); usleep 10000; done; exit 7"
    sampan.run("-d", "--name", "writer", IMAGE, "sh", "-c", script)
    until(lambda: sampan.text("logs", "--tail", "1", "writer") not in ("", "0"))
    engine.kill()
    assert sampan.text("wait", "writer") == "7"  # by the next engine, which the CLI starts
    assert sampan.text("logs", "writer").split() == [str(number) for number in range(300)]
    assert json.loads(sampan.text("inspect", "writer"))[0]["State"]["ExitCode"] == 7


def test_exit_while_no_engine_runs(engine: Engine, sampan: Cli) -> None:
    name = sampan.run("-d", IMAGE, "sh", "-c", "sleep 0.5; exit 6").stdout.strip()
    process = int(sampan.text("inspect", "--format", "{{.State.Pid}}", name))
    pidfd = os.pidfd_open(process)
    engine.kill()
    import select

    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)
    assert sampan.text("wait", name) == "6"


def test_attached_session_survives_the_engine(engine: Engine, sampan: Cli) -> None:
    sampan.run("-d", "-i", "--name", "session", IMAGE, "cat")
    process = sampan.spawn("attach", "session", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"before\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"before\n"
    engine.kill()
    process.stdin.write(b"after\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"after\n"
    sampan("kill", "session")
    assert process.stdout.read() == b""
    process.wait(10)
    process.stdin.close()
    process.stdout.close()
    assert sampan.text("wait", "session") == "137"


def test_restarted_engine_still_stops_and_execs(engine: Engine, sampan: Cli) -> None:
    sampan.run("-d", "--name", "stays", IMAGE, "sleep", "1000")
    before = sampan.text("inspect", "--format", "{{.State.Pid}}", "stays")
    engine.kill()
    assert sampan.text("inspect", "--format", "{{.State.Pid}}", "stays") == before
    assert sampan.text("exec", "stays", "echo", "here") == "here"
    sampan("rm", "-f", "stays")


def test_killed_monitor_takes_its_container_along(engine: Engine, sampan: Cli) -> None:
    sampan.run("-d", "--name", "orphan", IMAGE, "sleep", "1000")
    process = int(sampan.text("inspect", "--format", "{{.State.Pid}}", "orphan"))
    with open(f"/proc/{process}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    assert sampan.text("wait", "orphan") == "137"
    until(lambda: not os.path.exists(f"/proc/{process}"))


def test_nothing_is_left_after_200_runs(sampan: Cli, host: Host) -> None:
    sampan.run("--rm", IMAGE, "true")  # whatever is made once is made now
    before = host.when_quiet()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = list(
            pool.map(
                lambda number: sampan.run(
                    "--rm", "-p", "80", IMAGE, "sh", "-c", "exit 3", check=False
                ),
                range(200),
            )
        )
    assert {done.returncode for done in codes} == {3}
    host.returns_to(before)


def test_failed_starts_leave_nothing(sampan: Cli, host: Host) -> None:
    sampan.run("--rm", IMAGE, "true")
    before = host.when_quiet()
    for _ in range(10):
        assert sampan.run("--rm", "-p", "80", IMAGE, "no-such", check=False).returncode == 127
    host.returns_to(before)


def test_shutdown_leaves_no_trace_on_the_host(engine: Engine, sampan: Cli, host: Host) -> None:
    sampan.run("--rm", "-p", "80", IMAGE, "true")
    sampan("system", "shutdown")
    assert not list(engine.run.glob("*.sock"))
    assert host.processes() == 0
    assert host.mounts() == 0
    assert not os.path.exists(f"/sys/class/net/{host.paths.bridge}")
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    assert host.paths.nft_table not in tables.stdout
    assert sampan.run("--rm", IMAGE, "echo", "back").stdout == "back\n"
