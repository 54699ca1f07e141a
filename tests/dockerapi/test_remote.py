"""`sampan` at an engine on another host: TLS with client certificates, and ssh.

The other host is this one. ssh is a program that stands in for ssh(1), where its arguments can be
looked at, and a real sshd where one is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM
from tests.dockerapi.test_listeners import free_port
from tests.dockerapi.test_listeners import pki as pki
from tests.dockerapi.test_listeners import secured as secured
from tests.engine_process import PATIENCE, Engine
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount")


def sampan(
    home: Path, *words: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "SAMPAN_RUN": str(home / "none")}
    return subprocess.run(
        [*PROGRAM, *words], env={**variables, **environment}, input=stdin, capture_output=True,
        check=False, timeout=PATIENCE,
    )  # fmt: skip


def use_it(home: Path, *options: str, **environment: str) -> None:
    """Long answers, input with an end, exit codes, and a call with a body that is a stream."""
    run = ("run", "-i", "--rm", "--network", "none", "busybox")
    done = sampan(home, *options, *run, "sh", "-c", "cat; exit 3", stdin=b"typed\n", **environment)
    assert (done.returncode, done.stdout) == (3, b"typed\n"), done.stderr
    done = sampan(home, *options, *run, "seq", "100000", **environment)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 100000), done.stderr


def test_tls_with_our_certificate(secured: tuple[Engine, int], pki: Path, tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{secured[1]}"
    use_it(tmp_path, "-H", address, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(pki))
    files = [f"--tlscacert={pki}/ca.pem", f"--tlscert={pki}/cert.pem", f"--tlskey={pki}/key.pem"]
    use_it(tmp_path, "-H", address, "--tlsverify", *files)
    use_it(tmp_path, "-H", address, "--tls", *files[1:])  # whoever the engine is
    named = f"host={address},ca={pki}/ca.pem,cert={pki}/cert.pem,key={pki}/key.pem"
    assert sampan(tmp_path, "context", "create", "far", "--docker", named).returncode == 0
    use_it(tmp_path, "-c", "far")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tlsverify", "--tlscacert={}/other.pem"], "its certificate is not trusted"),
        (["--tlsverify", "--tlscacert={}/nothing.pem"], "no such file"),
        (["--tls", "--tlscert={}/stranger-cert.pem", "--tlskey={}/stranger-key.pem"], "the engine"),
        ([], "the engine"),
    ],
)
def test_who_is_not_trusted_is_told_so(
    secured: tuple[Engine, int], pki: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    words = [option.format(pki) for option in options]
    done = sampan(tmp_path, "-H", f"tcp://127.0.0.1:{secured[1]}", *words, "ps")
    assert done.returncode == 1 and sentence in done.stderr.decode(), done.stderr
    assert b"Traceback" not in done.stderr


@pytest.fixture
def there(engine: Engine, tmp_path: Path) -> Path:
    """A directory for PATH: `sampan` as the other host has it, with an engine that runs."""
    place = tmp_path / "there"
    place.mkdir()
    code = PROGRAM[-1].replace("'", "'\\''")
    script = f"export SAMPAN_RUN={engine.paths.run} SAMPAN_ROOT={engine.paths.root}\n"
    script += f"exec {sys.executable} -I -S -c '{code}' \"$@\"\n"
    _program(place / "sampan", script)
    return place


def _program(path: Path, script: str) -> None:
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


def test_ssh_is_told_whom_to_reach(there: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    script = f'echo "$@" >>{tmp_path}/said; for last; do :; done\n'
    _program(here / "ssh", f'{script}PATH={there}:$PATH exec sh -c "$last"\n')
    path = f"{here}:{os.environ['PATH']}"
    use_it(tmp_path, "-H", "ssh://me@shed:2022", PATH=path)
    said = (tmp_path / "said").read_text().splitlines()[0]
    assert said.startswith("-o ConnectTimeout=30 -T -l me -p 2022 -- shed ")
    # where there is no sampan, docker answers
    (there / "sampan").rename(there / "docker")
    hidden = f"{here}:/usr/bin:/bin"
    use_it(tmp_path, "-H", "ssh://shed", PATH=hidden)


def test_an_ssh_that_fails_is_said(tmp_path: Path) -> None:
    _program(tmp_path / "ssh", "echo 'ssh: no route to shed' >&2; exit 255\n")
    done = sampan(tmp_path, "-H", "ssh://shed", "ps", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert b"ssh: no route to shed" in done.stderr and b"Traceback" not in done.stderr
    done = sampan(tmp_path, "-H", "ssh://shed", "ps", PATH=str(tmp_path / "nothing"))
    assert done.returncode == 1 and b"ssh: no such file" in done.stderr


@pytest.fixture
def sshd(there: Path, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A real one on loopback that lets root in by a key; (port, a directory with ssh for PATH)."""
    for name in ("host", "key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(words, check=True)
    port, here = free_port(), tmp_path / "bin"
    here.mkdir()
    with open("/etc/passwd") as file:
        accounts = file.read() + "sshd:x:998:65534::/run/sshd:/usr/sbin/nologin\n"
    (tmp_path / "passwd").write_text(accounts)
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/key.pub\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
        f"SetEnv PATH={there}:{os.environ['PATH']}\n"
    )
    options = f"-i {tmp_path}/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    _program(here / "ssh", f'exec {shutil.which("ssh")} -F none -q {options} "$@"\n')
    script = f"mount --bind {tmp_path}/passwd /etc/passwd && mount -t tmpfs tmpfs /run"
    script += (
        f" && mkdir -m 755 /run/sshd && exec {shutil.which('sshd')} -D -e -f {tmp_path}/config"
    )
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stderr=log)
    try:
        until(lambda: "Server listening" in (tmp_path / "log").read_text())
        yield port, here
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.needs("sshd")
def test_through_a_real_sshd(sshd: tuple[int, Path], tmp_path: Path) -> None:
    port, here = sshd
    path = f"{here}:{os.environ['PATH']}"
    use_it(tmp_path, "-H", f"ssh://root@127.0.0.1:{port}", PATH=path)
    if shutil.which("docker"):  # docker's client speaks to ours on the far side, too
        environment = {"PATH": path, "HOME": str(tmp_path)}
        words = ["docker", "-H", f"ssh://root@127.0.0.1:{port}", "ps"]
        (tmp_path / "there/docker").symlink_to(tmp_path / "there/sampan")
        done = subprocess.run(words, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
