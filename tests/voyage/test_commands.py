"""The everyday commands, by `sampan` and by the docker CLI on the same engine."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import IMAGE
from .programs import LABEL, Cli, until


def test_run_prints_the_output_and_gives_the_exit_code(cli: Cli) -> None:
    done = cli.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_run_feeds_standard_input_to_its_end(cli: Cli) -> None:
    text = b"".join(b"line %d\n" % number for number in range(20_000))
    done = cli.run("-i", "--rm", IMAGE, "cat", stdin=text)
    assert done.stdout.encode() == text


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("no-such-command", 127, "executable file not found in $PATH"),
        ("/no/such/file", 127, "no such file or directory"),
        ("/etc/not-executable", 126, "permission denied"),
        ("/etc", 126, ""),
    ],
)
def test_what_cannot_be_run(cli: Cli, command: str, code: int, text: str) -> None:
    done = cli.run("--rm", IMAGE, command, check=False)
    assert done.returncode == code
    assert text in done.stderr


def test_isolation(cli: Cli) -> None:
    script = "echo $$; hostname; ip -o link | wc -l; ls /proc | grep -c '^[0-9]*$'; id -u"
    done = cli.run("--rm", "--hostname", "boat", "--network", "none", IMAGE, "sh", "-c", script)
    pid, name, links, processes, uid = done.stdout.split()
    assert (pid, name, links, uid) == ("1", "boat", "1", "0")
    assert int(processes) < 6


def test_defaults_are_safe(cli: Cli) -> None:
    script = (
        "grep -E 'CapEff|Seccomp:' /proc/self/status; wc -c < /proc/keys; ls /sys/firmware | wc -l"
    )
    done = cli.run("--rm", IMAGE, "sh", "-c", script, check=False)
    assert "CapEff:\t00000000a80425fb" in done.stdout
    assert "Seccomp:\t2" in done.stdout
    assert done.stdout.endswith("\n0\n0\n")  # masked


@pytest.mark.parametrize(
    ("options", "script", "expected"),
    [
        (["-e", "A=1 2"], "echo $A", "1 2"),
        (["-w", "/tmp/new"], "pwd", "/tmp/new"),
        (["-u", "bob"], "id -u; id -G", "1000\n1000 2000"),
        (["-u", "7:8"], "id -u; id -g", "7\n8"),
        (["--read-only"], "touch /x 2>&1", "touch: /x: Read-only file system"),
        (["--tmpfs", "/t:size=1m"], "df /t | tail -1 | awk '{print $2}'", "1024"),
        (["--cap-drop", "ALL"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
        (
            ["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"],
            "mount -t tmpfs x /tmp && echo mounted",
            "mounted",
        ),
        (["--ulimit", "nofile=64:64"], "ulimit -n", "64"),
        (["--add-host", "pier:10.1.2.3"], "grep pier /etc/hosts", "10.1.2.3\tpier"),
        (["--entrypoint", "echo"], "", "-c"),
        (["--privileged"], "mount -t tmpfs x /tmp && echo mounted", "mounted"),
        (["--device", "/dev/null:/dev/other"], "ls -l /dev/other | cut -c1", "c"),
        (["--init"], "[ $(cat /proc/1/comm) = sh ] || echo init", "init"),
        (["--shm-size", "2m"], "df /dev/shm | tail -1 | awk '{print $2}'", "2048"),
        (
            ["--security-opt", "no-new-privileges"],
            "grep NoNewPrivs /proc/self/status",
            "NoNewPrivs:\t1",
        ),
        (["--sysctl", "net.ipv4.ip_default_ttl=42"], "cat /proc/sys/net/ipv4/ip_default_ttl", "42"),
    ],
)
def test_options(cli: Cli, options: list[str], script: str, expected: str) -> None:
    if options[0] == "--entrypoint":
        assert cli.run("--rm", *options, IMAGE, "-c").stdout.strip() == expected
    else:
        assert (
            cli.run("--rm", *options, IMAGE, "sh", "-c", script, check=False).stdout.strip()
            == expected
        )


def test_limits_reach_the_cgroup(cli: Cli) -> None:
    name = cli.run(
        "-d", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", IMAGE, "sleep", "100"
    ).stdout.strip()
    config = json.loads(cli.text("inspect", name))[0]["HostConfig"]
    assert (config["Memory"], config["NanoCpus"], config["PidsLimit"]) == (
        64 << 20,
        500_000_000,
        50,
    )
    done = cli("exec", name, "sh", "-c", "for i in $(seq 60); do sleep 5 & done", check=False)
    assert "can't fork" in done.stderr


def test_memory_limit_kills_and_says_so(cli: Cli) -> None:
    name = cli.run("-d", "-m", "16m", IMAGE, "sh", "-c", "tail /dev/zero").stdout.strip()
    assert cli.text("wait", name) == "137"
    until(lambda: json.loads(cli.text("inspect", name))[0]["State"]["OOMKilled"])


def test_detached_life(cli: Cli) -> None:
    name = cli.run(
        "-d", "--name", "life", IMAGE, "sh", "-c", "echo one; exec sleep 1000"
    ).stdout.strip()
    assert len(name) == 64
    row = cli.text(
        "ps", "--filter", "name=life", "--format", "{{.Names}}|{{.Image}}|{{.State}}|{{.Command}}"
    )
    assert row.startswith(("life|voyage/busybox:latest|running|", "life|voyage/busybox|running|"))
    until(lambda: cli.text("logs", "life") == "one")
    assert cli("exec", "life", "sh", "-c", "echo in; exit 4", check=False).returncode == 4
    cli("pause", "life")
    assert json.loads(cli.text("inspect", "life"))[0]["State"]["Status"] == "paused"
    cli("unpause", "life")
    assert "sleep 1000" in cli.text("top", "life")
    cli("rename", "life", "afterlife")
    cli("kill", "--signal", "KILL", "afterlife")
    assert cli.text("wait", "afterlife") == "137"
    cli("start", "afterlife")
    cli("stop", "-t", "1", "afterlife")
    assert "Exited (137)" in cli.text(
        "ps", "-a", "--filter", "name=afterlife", "--format", "{{.Status}}"
    )
    cli("rm", "afterlife")
    assert cli("inspect", "afterlife", check=False).returncode == 1


def test_stop_signal_lets_the_process_end_itself(cli: Cli) -> None:
    script = "trap 'echo bye; exit 5' QUIT; echo ready; while :; do sleep 0.1; done"
    cli.run("-d", "--name", "polite", "--stop-signal", "QUIT", IMAGE, "sh", "-c", script)
    until(lambda: "ready" in cli.text("logs", "polite"))
    cli("stop", "polite")
    assert json.loads(cli.text("inspect", "polite"))[0]["State"]["ExitCode"] == 5
    assert cli.text("logs", "polite").endswith("bye")


def test_logs_options(cli: Cli) -> None:
    cli.run("--name", "talk", IMAGE, "sh", "-c", "for i in 1 2 3 4; do echo $i; done; echo e >&2")
    assert cli("logs", "talk").stdout == "1\n2\n3\n4\n"
    assert cli("logs", "talk").stderr == "e\n"
    tail = cli("logs", "--tail", "2", "talk")
    assert tail.stdout.split() + tail.stderr.split() == ["4", "e"]
    stamped = cli("logs", "-t", "talk").stdout.splitlines()
    assert stamped[0].split()[1] == "1" and stamped[0].split()[0].endswith("Z")
    middle = stamped[2].split()[0]
    assert cli("logs", "--since", middle, "talk").stdout == "3\n4\n"


def test_logs_follow_to_the_end(cli: Cli) -> None:
    cli.run(
        "-d",
        "--name",
        "follow",
        IMAGE,
        "sh",
        "-c",
        "for i in $(seq 30); do echo $i; sleep 0.02; done",
    )
    assert cli("logs", "-f", "follow").stdout.split() == [str(i) for i in range(1, 31)]


def test_volumes_and_binds(cli: Cli, scratch: Path) -> None:
    (scratch / "file").write_text("host\n")
    assert cli.run("--rm", "-v", f"{scratch}:/mnt:ro", IMAGE, "cat", "/mnt/file").stdout == "host\n"
    denied = cli.run("--rm", "-v", f"{scratch}:/mnt:ro", IMAGE, "touch", "/mnt/x", check=False)
    assert "Read-only file system" in denied.stderr
    cli("volume", "create", "--label", LABEL, "hold")
    try:
        assert (
            cli.run("--rm", "-v", "hold:/data", IMAGE, "cat", "/data/seed").stdout
            == "from the image\n"
        )
        cli.run("--rm", "-v", "hold:/data", IMAGE, "sh", "-c", "echo kept > /data/seed")
        mount = "type=volume,source=hold,target=/elsewhere"
        assert cli.run("--rm", "--mount", mount, IMAGE, "cat", "/elsewhere/seed").stdout == "kept\n"
        assert "hold" in cli.text("volume", "ls", "-q")
        assert json.loads(cli.text("volume", "inspect", "hold"))[0]["Name"] == "hold"
    finally:
        cli("volume", "rm", "hold")


def test_copy_in_and_out(cli: Cli, scratch: Path) -> None:
    (scratch / "in").mkdir()
    (scratch / "in/a").write_text("alpha")
    cli("create", "--label", LABEL, "--name", "box", IMAGE, "cat", "/tmp/in/a")
    cli("cp", str(scratch / "in"), "box:/tmp")
    cli("start", "box")
    cli("wait", "box")
    assert cli.text("logs", "box") == "alpha"
    cli("cp", "box:/tmp/in/a", str(scratch / "out"))
    assert (scratch / "out").read_text() == "alpha"
    missing = cli("cp", "box:/nowhere", str(scratch), check=False)
    assert missing.returncode == 1 and "Could not find the file /nowhere" in missing.stderr


def test_commit_export_import_save_load(cli: Cli, scratch: Path) -> None:
    cli.run("--name", "work", IMAGE, "sh", "-c", "echo made > /made; rm /etc/group")
    assert set(cli.text("diff", "work").splitlines()) == {"A /made", "C /etc", "D /etc/group"}
    cli("commit", "-m", "a layer", "work", "voyage/made:1")
    made = cli.run("--rm", "voyage/made:1", "sh", "-c", "cat /made; ls /etc/group", check=False)
    assert made.stdout == "made\n" and "No such file" in made.stderr
    assert "a layer" in cli.text("history", "voyage/made:1")
    archive = str(scratch / "made.tar")
    cli("save", "-o", archive, "voyage/made:1")
    cli("rmi", "voyage/made:1")
    assert (
        cli.run("--rm", "--pull", "never", "voyage/made:1", "true", check=False).returncode == 125
    )
    assert "voyage/made:1" in cli.text("load", "-i", archive)
    assert cli.run("--rm", "voyage/made:1", "cat", "/made").stdout == "made\n"
    flat = str(scratch / "flat.tar")
    cli("export", "-o", flat, "work")
    cli("import", "--change", "CMD cat /made", flat, "voyage/flat:1")
    assert cli.run("--rm", "voyage/flat:1").stdout == "made\n"
    cli("rmi", "voyage/flat:1", "voyage/made:1")


def test_events_tell_the_story(cli: Cli) -> None:
    name = f"story{time.time_ns()}"
    cli.run("--name", name, IMAGE, "true")
    cli("rm", name)
    now = int(time.time())
    lines = cli.text(
        "events", "--since", str(now - 60), "--until", str(now + 1),
        "--filter", f"container={name}", "--format", "{{.Action}}",
    )  # fmt: skip
    actions = lines.split()
    assert [a for a in actions if a in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_stats_once(cli: Cli) -> None:
    cli.run("-d", "--name", "busy", "-m", "64m", IMAGE, "sleep", "100")
    row = cli.text("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "busy")
    assert row.startswith("busy") and "64MiB" in row and row.endswith("1")


def test_restart_policy(cli: Cli) -> None:
    cli.run("-d", "--name", "again", "--restart", "on-failure:2", IMAGE, "false")
    until(lambda: json.loads(cli.text("inspect", "again"))[0]["RestartCount"] == 2)
    until(lambda: json.loads(cli.text("inspect", "again"))[0]["State"]["Status"] == "exited")


def test_auto_remove(cli: Cli) -> None:
    cli.run("--rm", "--name", "brief", IMAGE, "true")
    until(lambda: cli("inspect", "brief", check=False).returncode == 1)


def test_attach_again(cli: Cli) -> None:
    cli.run("-d", "-i", "--name", "echoes", IMAGE, "cat")
    process = cli.spawn("attach", "echoes", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"hello\n"
    cli("kill", "echoes")
    assert process.wait(10) == 137
    process.stdin.close()
    process.stdout.close()


def test_signals_are_passed_on(cli: Cli) -> None:
    script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    process = cli.spawn(
        "run", "--rm", "--label", LABEL, IMAGE, "sh", "-c", script, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"got\n"
    assert process.wait(10) == 9
    process.stdout.close()


def test_copy_sees_the_volumes_of_a_stopped_container(cli: Cli, scratch: Path) -> None:
    (scratch / "here").write_text("beta")
    (scratch / "mounted").mkdir()
    mount = f"{scratch}/mounted:/deep/down"
    cli("create", "--label", LABEL, "--name", "shelf", "-v", mount, IMAGE, "true")
    cli("cp", str(scratch / "here"), "shelf:/deep/down/there")
    assert (scratch / "mounted/there").read_text() == "beta"
    cli("cp", "shelf:/deep/down/there", str(scratch / "back"))
    assert (scratch / "back").read_text() == "beta"
