"""What both programs print for the same answers of one engine: templates and tables."""

import os
import shlex
import shutil
import subprocess

import pytest

from sampan.cli import template
from tests.cli.conftest import PROGRAM
from tests.cli.fake_engine import FakeEngine
from tests.cli.test_program import CONTAINERS
from tests.cli.test_template import CASES, DATA

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="no docker CLI here")

# Docker reads an inspection into Go types, we into what JSON has. These show the difference.
TYPED = {
    "{{.State}}",  # a struct prints without its names
    "{{.Cmd}} {{.Env}} {{.Labels}}",  # a null that Go has no type for
    '{{join .Cmd ", "}}',  # an untyped list cannot be joined
    '{{index .Labels "a"}}{{index .Labels "none"}}',
    "{{len .Cmd}} {{len .Name}} {{len .Env}}",
    '{{printf "%s %d %5.2f %q %v %03d%%" .Name 3 .Half "a" true 7}}',  # numbers stay text
    "{{if .State.Health}}h{{else if .Nope}}n{{else}}neither{{end}}",  # missing is an error
    "{{.Nope | json}}",
}

ANSWERS = {
    "GET /containers/x/json": (200, DATA),
    "GET /containers/json": (200, CONTAINERS),
    "GET /images/json": (
        200,
        [
            {
                "Id": "sha256:" + "1" * 64,
                "RepoTags": ["a:1", "a:2"],  # of several names, Docker shows any first
                "RepoDigests": ["a@sha256:" + "2" * 64],
                "Created": 1700000000,
                "Size": 123456789,
                "SharedSize": -1,
                "Containers": -1,
            },
            {"Id": "sha256:" + "3" * 64, "Size": 1, "SharedSize": -1, "Containers": -1},
        ],
    ),
    "GET /volumes": (
        200,
        {"Volumes": [{"Name": n, "Driver": "local", "Scope": "local"} for n in ("v10", "v2")]},
    ),
    "GET /networks": (
        200,
        [
            {"Name": "b", "Id": "b" * 64, "Driver": "bridge", "Created": "2026-11-21T04:07:00.5Z"},
            {"Name": "a", "Id": "a" * 64, "Driver": "host", "Created": "2026-11-21T04:07:00Z"},
        ],
    ),
    "GET /images/x/history": (
        200,
        [
            {
                "Id": "sha256:" + "4" * 64,
                "Created": 1700000000,
                "CreatedBy": '/bin/sh -c #(nop)  CMD ["nginx" "-g" "daemon off;"] # long',
                "Size": 1234,
                "Comment": "c",
            },
            {"Id": "<missing>", "Created": 0, "CreatedBy": "x\ty", "Size": 0, "Comment": ""},
        ],
    ),
}

SHOWN = """
ps
ps -a --no-trunc
ps -q
ps -s
ps --format json
ps --format 'table {{.ID}}\\t{{.Names}}\\t{{.Ports}}'
ps --format '{{.ID}}:{{.Labels}}:{{.State}}:{{.CreatedAt}}:{{.Mounts}}:{{.Networks}}'
images
images --digests
images --no-trunc
images -q
images --format json
images --format '{{.Repository}}:{{.Tag}} {{.CreatedAt}}'
volume ls
volume ls -q
volume ls --format json
network ls
network ls --no-trunc
network ls --format json
history x
history --no-trunc x
history --human=false x
history -q x
history --format json x
inspect --type container -f '{{.Name}}' x
"""


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    fake = FakeEngine(str(tmp_path_factory.mktemp("shows") / "engine.sock"))
    fake.answers |= ANSWERS
    yield fake
    fake.close()


def output(program, words, fake):
    return subprocess.run(
        [*program, "-H", fake.host, *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


@pytest.mark.parametrize("text", [text for text, _ in CASES if text not in TYPED])
def test_a_template_gives_what_docker_gives(text, answering):
    words = ["inspect", "--type", "container", "-f", text, "x"]
    assert template.render(text, DATA) + "\n" == output(["docker"], words, answering)


@pytest.mark.parametrize("line", SHOWN.strip().splitlines())
def test_a_list_looks_as_docker_shows_it(line, answering):
    words = shlex.split(line)
    assert output(PROGRAM, words, answering) == output(["docker"], words, answering)
