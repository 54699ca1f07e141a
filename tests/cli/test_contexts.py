"""Engines by name, in files that docker's own client reads and writes, too."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def config(tmp_path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / "config/config.json").read_text())
    return found


def test_a_context_is_made_used_and_forgotten(engine, sampan, tmp_path):
    engine.answers["GET /containers/json"] = (200, [])
    made = sampan("context", "create", "shed", "--docker", f"host={engine.host}",
                  "--description", "behind the house", SAMPAN_RUN="")  # fmt: skip
    assert (made.stdout, made.stderr) == ("shed\n", 'Successfully created context "shed"\n')
    again = sampan("context", "create", "shed", "--docker", "host=unix:///x")
    assert (again.returncode, again.stderr) == (1, 'context "shed" already exists\n')
    assert sampan("-c", "shed", "ps", "-q").returncode == 0
    assert sampan("ps", "-q", DOCKER_CONTEXT="shed", SAMPAN_RUN="").returncode == 0
    assert sampan("context", "show", SAMPAN_RUN="").stdout == "default\n"
    assert sampan("context", "use", "shed").stdout == "shed\n"
    assert config(tmp_path)["currentContext"] == "shed"
    assert sampan("context", "show", SAMPAN_RUN="").stdout == "shed\n"
    assert sampan("ps", "-q", SAMPAN_RUN="").returncode == 0
    listed = sampan("context", "ls", "--format", "{{.Name}}|{{.Current}}|{{.DockerEndpoint}}",
                    SAMPAN_RUN="")  # fmt: skip
    assert listed.stdout.splitlines()[1] == f"shed|true|{engine.host}"
    refused = sampan("context", "rm", "shed", "nobody")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        'context "shed" is in use, set -f flag to force remove',
        'context "nobody": context not found',
    ]
    assert sampan("context", "rm", "-f", "shed").stdout == "shed\n"
    assert "currentContext" not in config(tmp_path)
    assert sampan("context", "ls", "-q").stdout == "default\n"
    assert not list((tmp_path / "config/contexts/meta").iterdir())


def test_what_is_said_now_precedes_what_was_said_before(engine, sampan):
    engine.answers["GET /_ping"] = (200, "OK")
    sampan("context", "create", "gone", "--docker", "host=unix:///nowhere.sock")
    engine.answers["GET /containers/json"] = (200, [])
    assert sampan("ps", "-q", host=engine.host, DOCKER_CONTEXT="gone").returncode == 0
    named = sampan("ps", DOCKER_CONTEXT="gone", SAMPAN_RUN="")
    assert "cannot reach the engine at unix:///nowhere.sock" in named.stderr
    both = sampan("-c", "gone", "ps", host=engine.host)
    assert "give one" in both.stderr and both.returncode == 1
    unknown = sampan("-c", "nobody", "ps")
    assert (unknown.returncode, unknown.stderr) == (1, 'context "nobody": context not found\n')


def test_update_and_export_keep_the_keys(sampan, tmp_path):
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text(f"the {name}\n")
    words = ",".join(f"{name}={tmp_path}/{name}.pem" for name in ("ca", "cert", "key"))
    sampan("context", "create", "far", "--docker", f"host=tcp://far:2376,{words}")
    sampan("context", "update", "far", "--description", "far away")
    file = tmp_path / "far.dockercontext"
    assert sampan("context", "export", "far", str(file)).returncode == 0
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert sampan("context", "import", "near", str(file)).stdout == "near\n"
    found = json.loads(sampan("context", "inspect", "near").stdout)[0]
    assert found["Metadata"] == {"Description": "far away"}
    assert found["Endpoints"]["docker"] == {"Host": "tcp://far:2376", "SkipTLSVerify": False}
    assert found["TLSMaterial"] == {"docker": ["ca.pem", "cert.pem", "key.pem"]}
    key = Path(found["Storage"]["TLSPath"]) / "docker/key.pem"
    assert key.read_text() == "the key\n" and key.stat().st_mode & 0o777 == 0o600
    sampan("context", "update", "near", "--docker", "host=tcp://near:2375")
    assert json.loads(sampan("context", "inspect", "near").stdout)[0]["TLSMaterial"] == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["create", "default"], '"default" is a reserved context name'),
        (["create", "a/b"], 'context name "a/b" is invalid'),
        (["create", "ab", "--docker", "hose=x"], "unrecognized config key: hose"),
        (["create", "ab", "--docker", "host=gopher://x"], "'gopher://x' is no address"),
        (["create", "ab", "--docker", "host=ssh://me:pw@x"], "may not hold a password"),
        (["create", "ab", "--docker", "ca=/nowhere.pem"], "/nowhere.pem: no such file"),
        (["import", "ab", "/dev/null"], "this is no exported context"),
        (["export", "ab"], 'context "ab": context not found'),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(sampan, words, sentence):
    result = sampan("context", *words)
    assert result.returncode == 1 and sentence in result.stderr


@pytest.mark.skipif(not shutil.which("docker"), reason="docker's client is not installed")
def test_docker_reads_ours_and_we_read_docker_s(sampan, tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path),
                   "DOCKER_CONFIG": str(tmp_path / "config")}  # fmt: skip

    def docker(*words):
        return subprocess.run(["docker", "context", *words], env=environment, text=True,
                              capture_output=True, check=True, cwd=tmp_path).stdout  # fmt: skip

    sampan("context", "create", "ours", "--docker", "host=tcp://a:1", "--description", "one")
    docker("create", "theirs", "--docker", "host=ssh://me@b", "--description", "two")
    rows = "{{.Name}} {{.Description}} {{.DockerEndpoint}}"
    for listed in (
        docker("ls", "--format", rows),
        sampan("context", "ls", "--format", rows).stdout,
    ):
        assert {"ours one tcp://a:1", "theirs two ssh://me@b"} <= set(listed.splitlines())
    docker("export", "theirs", "theirs.tar")
    sampan("context", "export", "ours", str(tmp_path / "ours.tar"))
    docker("import", "ours2", "ours.tar")
    assert sampan("context", "import", "theirs2", str(tmp_path / "theirs.tar")).returncode == 0
    for listed in (
        docker("ls", "--format", rows),
        sampan("context", "ls", "--format", rows).stdout,
    ):
        assert {"ours2 one tcp://a:1", "theirs2 two ssh://me@b"} <= set(listed.splitlines())
    docker("use", "theirs")
    assert sampan("context", "show", SAMPAN_RUN="").stdout == "theirs\n"
