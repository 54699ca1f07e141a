"""`sampan` from outside: what it prints and how it ends."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM

MAN = Path(__file__).parents[2] / "man"
CONTAINERS = [
    {
        "Id": "f" * 64,
        "Names": ["/web"],
        "Image": "nginx:1.25",
        "ImageID": "sha256:" + "a" * 64,
        "Command": "nginx -g 'daemon off;'",
        "Created": 0,
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
            {"PrivatePort": 444, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 81, "PublicPort": 81, "Type": "udp"},
        ],
        "State": "running",
        "Status": "Up 2 hours",
        "Labels": {"a": "1"},
    }
]


def test_ps(engine, sampan):
    engine.answers["GET /containers/json"] = (200, CONTAINERS)
    result = sampan("ps", host=engine.host)
    header, row = result.stdout.splitlines()
    assert header.split() == [
        "CONTAINER",
        "ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ]
    assert row.startswith('ffffffffffff   nginx:1.25   "nginx -g \'daemon of…"   ')
    assert "[::]:81->81/udp, 443-444/tcp, 0.0.0.0:8080->80/tcp" in row
    assert sampan("ps", "-q", host=engine.host).stdout == "ffffffffffff\n"
    shown = sampan("ps", "--format", '{{.Names}}: {{.Label "a"}}', host=engine.host)
    assert shown.stdout == "web: 1\n"


def test_errors_of_the_engine_are_told_in_dockers_words(engine, sampan):
    engine.answers["POST /containers/x/stop"] = (404, {"message": "No such container: x"})
    result = sampan("stop", "x", "y", host=engine.host)
    assert (result.returncode, result.stdout) == (1, "y\n")
    assert result.stderr == "Error response from daemon: No such container: x\n"


def test_a_missing_image_is_pulled_and_its_failure_is_the_answer(engine, sampan):
    engine.answers["POST /containers/create"] = (404, {"message": "No such image: nope:latest"})
    engine.answers["POST /images/create"] = (
        200,
        [b'{"status":"Pulling","id":"latest"}\r\n', b'{"error":"registry down"}\r\n'],
    )
    result = sampan("run", "nope", host=engine.host)
    assert result.returncode == 125
    assert "Unable to find image 'nope:latest' locally\nlatest: Pulling\n" in result.stderr
    assert "Error response from daemon: registry down" in result.stderr
    (request,) = engine.asked("POST /images/create")
    assert request.query == "fromImage=nope&tag=latest"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ('exec: "/x": stat /x: no such file or directory', 127),
        ('exec: "/etc": permission denied', 126),
        ("port is already allocated", 125),
    ],
)
def test_a_start_that_fails_has_dockers_code(engine, sampan, message, code):
    engine.answers["POST /containers/c0ffee/start"] = (400, {"message": message})
    result = sampan("run", "-d", "busybox", host=engine.host)
    assert result.returncode == code
    assert message in result.stderr and not result.stdout


def test_credentials_go_with_a_pull(engine, sampan, tmp_path):
    sampan(
        "login", "-u", "me", "--password-stdin", "localhost:5000", host=engine.host, stdin="pw\n"
    )
    config = json.loads((tmp_path / "config" / "config.json").read_text())
    assert list(config["auths"]) == ["localhost:5000"]
    engine.answers["POST /images/create"] = (200, [b'{"status":"done"}\n'])
    assert sampan("pull", "localhost:5000/a:1", host=engine.host).stdout == (
        "done\nlocalhost:5000/a:1\n"
    )
    import base64

    (request,) = engine.asked("POST /images/create")
    sent = json.loads(base64.urlsafe_b64decode(request.headers["x-registry-auth"]))
    assert (sent["username"], sent["password"]) == ("me", "pw")
    sampan("logout", "localhost:5000", host=engine.host)
    assert not json.loads((tmp_path / "config" / "config.json").read_text())["auths"]


@pytest.mark.parametrize("group", ["swarm", "node", "service", "stack", "secret", "config"])
def test_commands_of_a_swarm_say_that_there_is_none(engine, sampan, group):
    engine.answers["GET /swarm"] = (503, {"message": "This node is not a swarm manager."})
    result = sampan(group, "ls", "--any", "x", host=engine.host)
    assert result.returncode == 1
    assert result.stderr == "Error response from daemon: This node is not a swarm manager.\n"


def test_no_plugins_are_an_empty_list(engine, sampan):
    engine.answers["GET /plugins"] = (200, [])
    shown = sampan("plugin", "ls", host=engine.host).stdout
    assert shown.split() == ["ID", "NAME", "DESCRIPTION", "ENABLED"]
    assert sampan("plugin", "ls", "-q", host=engine.host).stdout == ""


def test_a_mistyped_command_is_guessed(sampan):
    result = sampan("vloume", "ls")
    assert result.returncode == 1
    assert "unknown command: sampan vloume" in result.stderr
    assert "\tsampan volume\n" in result.stderr
    assert "Traceback" not in result.stderr


def test_help(sampan):
    assert "Management Commands:" in sampan().stdout
    assert "  prune " in sampan("volume").stdout
    shown = sampan("run", "--help").stdout
    assert shown.startswith("Usage:  sampan run [OPTIONS] IMAGE [COMMAND] [ARG...]\n")
    assert "  -m, --memory bytes  " in shown
    assert sampan("help", "run").stdout == shown
    assert max(map(len, shown.splitlines())) <= 80


def test_nobody_answers_at_a_host_that_was_named(sampan, tmp_path):
    result = sampan("ps", host=f"unix://{tmp_path}/none")
    assert result.returncode == 1
    assert result.stderr == (
        f"cannot reach the engine at unix://{tmp_path}/none: no such file or directory\n"
    )


def test_a_broken_pipe_is_quiet(engine):
    engine.answers["GET /containers/json"] = (200, CONTAINERS * 5000)
    words = [*PROGRAM, "-H", engine.host, "ps"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_leaves_no_traceback(engine, tmp_path):
    # A job that a shell has put into the background ignores SIGINT, and so do its children.
    words = ["env", "--default-signal=INT", *PROGRAM, "-H", engine.host, "load"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not engine.requests:  # it is now waiting for our archive
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ru"], ["run"]),
        (["volume", "r"], ["remove", "rm"]),
        (["run", "--netw"], ["--network", "--network-alias"]),
        (["run", "--network", ""], ["net1", "net2"]),
        (["run", "--pull=n"], ["--pull=never"]),
        (["run", "-it", "--rm", "ngi"], ["nginx:1.25"]),
        (["run", "--env-file", ""], [":files"]),
        (["exec", "-it", "w"], ["web"]),
        (["exec", "web", ""], []),
        (["rm", "web", "w"], ["web"]),
        (["container", "logs", "-n", "5", ""], ["web"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["-H", "x", "im"], ["image", "images", "import"]),
        (["nosuch", ""], []),
    ],
)
def test_completion(engine, sampan, words, found):
    engine.answers["GET /containers/json"] = (200, CONTAINERS)
    engine.answers["GET /images/json"] = (200, [{"RepoTags": ["nginx:1.25", "debian:12"]}])
    engine.answers["GET /networks"] = (200, [{"Name": "net1"}, {"Name": "net2"}])
    assert sampan("__complete", *words, host=engine.host).stdout.split() == found


def test_bash_completes_with_the_script(engine, sampan, tmp_path):
    engine.answers["GET /images/json"] = (200, [{"RepoTags": ["nginx:1.25", "nginx:1.26"]}])
    program = tmp_path / "sampan"
    script = tmp_path / "try.sh"
    script.write_text(
        sampan("completion", "bash").stdout
        + f'COMP_LINE="{program} run nginx:1"; COMP_POINT=${{#COMP_LINE}}\n'
        "COMP_WORDS=(sampan run nginx : 1); COMP_CWORD=4; _sampan; "
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    source = PROGRAM[-1].replace("import sys;", "#!/usr/bin/python3 -IS\nimport sys;", 1)
    program.write_text(source + "\n")
    program.chmod(0o755)
    shown = subprocess.run(
        ["bash", "--norc", str(script)],
        env={"PATH": os.environ["PATH"], "SAMPAN_HOST": engine.host},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split() == ["1.25", "1.26"]


def test_the_man_pages_are_those_of_the_option_tables(sampan, tmp_path):
    assert sampan("man", "--output", str(tmp_path / "man")).returncode == 0
    made = {p.name: p.read_text() for p in (tmp_path / "man").iterdir()}
    kept = {p.name: p.read_text() for p in MAN.glob("sampan*.1")}
    assert made == kept, "run: .venv/bin/sampan man --output man"


def test_search(engine, sampan):
    found = [
        {"name": "a", "description": "x" * 50, "star_count": 1, "is_official": False},
        {"name": "b", "description": "two\nlines", "star_count": 20, "is_official": True},
    ]
    engine.answers["GET /images/search"] = (200, found)
    result = sampan("search", "--limit", "5", "-f", "stars=1", "r.example/web", host=engine.host)
    assert result.stdout.splitlines() == [
        "NAME      DESCRIPTION                                     STARS     OFFICIAL",
        "b         two lines                                       20        [OK]",
        f"a         {'x' * 44}…   1         ",
    ]
    (request,) = engine.asked("GET /images/search")
    assert "term=r.example%2Fweb" in request.query or "term=r.example/web" in request.query
    assert "limit=5" in request.query


def test_the_version_of_the_api_can_be_said(engine, sampan):
    """It is spoken as it is, with no look at what the engine would offer."""
    words = ("version", "--format", "{{.Client.ApiVersion}}")
    assert sampan(*words, host=engine.host, DOCKER_API_VERSION="1.41").stdout == "1.41\n"
    assert sampan(*words, host=engine.host).stdout == "1.51\n"
