"""Other doors to the API: TCP, TLS with client certificates, sockets of systemd, metrics."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.kit import tls
from sampan.linux import unix
from tests.engine_process import PATIENCE, SOURCE, Engine, head, parse, read_to_end

pytestmark = pytest.mark.needs("mount")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """ca.pem, server and client certificates (`docker` looks for cert.pem, key.pem), and a
    stranger's that nobody signed for us."""
    top = tmp_path_factory.mktemp("pki")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=top, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def authority(name: str) -> None:
        files = ["-keyout", f"{name}-key.pem", "-out", f"{name}.pem"]
        openssl("req", "-x509", *key, *files, "-subj", f"/CN={name}")

    def signed(name: str, by: str, extension: str) -> None:
        openssl("req", *key, "-keyout", f"{name}key.pem", "-out", "request", "-subj", "/CN=me")
        (top / "extension").write_text(extension)
        ca = ["-CA", f"{by}.pem", "-CAkey", f"{by}-key.pem", "-CAcreateserial"]
        openssl("x509", "-req", "-in", "request", *ca, "-out", f"{name}cert.pem",
                "-extfile", "extension")  # fmt: skip

    authority("ca")
    authority("other")
    signed("server-", "ca", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth")
    signed("", "ca", "extendedKeyUsage=clientAuth")
    signed("stranger-", "other", "extendedKeyUsage=clientAuth")
    return top


@pytest.fixture(scope="module")
def secured(pki: Path) -> Iterator[tuple[Engine, int]]:
    port = free_port()
    options = ["--tlsverify", "--tlscacert", f"{pki}/ca.pem", "--tlscert", f"{pki}/server-cert.pem"]
    with Engine(
        "-H", f"tcp://127.0.0.1:{port}", *options, "--tlskey", f"{pki}/server-key.pem"
    ) as e:
        yield e, port


def docker(port: int, pki: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(pki),
        "DOCKER_HOST": f"tcp://127.0.0.1:{port}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(pki),
    }
    return subprocess.run(
        ["docker", *words], env=environment, input=stdin, capture_output=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.skipif(not shutil.which("docker"), reason="no docker CLI here")
def test_docker_over_tls_runs_attaches_and_execs(secured, pki) -> None:
    engine, port = secured
    done = docker(port, pki, "run", "-i", "--network", "none", "--name", "tls", "busybox", "cat",
                  stdin=b"through tls\n")  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"through tls\n"), done.stderr
    docker(port, pki, "rm", "-f", "tls")
    container = engine.run("sleep", "60")
    done = docker(port, pki, "exec", container, "seq", "100000")
    assert done.stdout.count(b"\n") == 100000


def test_a_client_without_our_certificate_is_refused(secured, pki) -> None:
    _, port = secured
    for certificate in (None, "stranger-"):
        context = tls.context(ca=str(pki / "ca.pem"))
        if certificate:
            context.load_cert_chain(pki / f"{certificate}cert.pem", pki / f"{certificate}key.pem")
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            ping(context, plain)


def ping(context: ssl.SSLContext, plain: socket.socket) -> None:
    """In TLS 1.3 a client learns with its first read that it is refused."""
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        assert not sock.recv(100)
        raise ConnectionError("closed without an answer")


def test_metrics_and_plain_tcp_on_loopback() -> None:
    port, metrics = free_port(), free_port()
    with Engine(
        "-H", f"tcp://127.0.0.1:{port}", "--metrics-addr", f"127.0.0.1:{metrics}"
    ) as engine:
        engine.run("sleep", "60")

        def get(where: int, path: str) -> bytes:
            with socket.create_connection(("127.0.0.1", where), timeout=PATIENCE) as sock:
                sock.sendall(head("GET", path, None, {"Connection": "close"}))
                answer = parse(read_to_end(sock))
                assert answer[0] == 200
                found: bytes = answer[1]
                return found

        assert get(port, "/_ping") == b"OK"
        text = get(metrics, "/metrics").decode()
        assert 'engine_daemon_container_states_containers{state="running"} 1' in text
        for line in text.splitlines():
            assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_:]+(\{.*\})? [0-9.e+-]+", line), line


def test_sockets_that_systemd_opened(tmp_path) -> None:
    path = str(tmp_path / "activated.sock")
    listener = unix.bind(path, mode=0o600, backlog=10)
    with listener, Engine() as engine:
        engine.stop()
        script = (
            "import os; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2("
            f"{listener.fileno()}, 3); from sampan.cli.sampand import main; main()"
        )
        words = ["--root", engine.paths.root, "--run", engine.paths.run, "--foreground"]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *words, "-H", "fd://"],
            env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"], "LISTEN_FDS": "1"},
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            with unix.connect(path) as sock:  # waits in the backlog until the engine is there
                sock.settimeout(PATIENCE)
                sock.sendall(head("GET", "/version", None, {"Connection": "close"}))
                assert parse(read_to_end(sock))[1]["ApiVersion"] == "1.51"
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
        engine.start()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-H", "tcp://0.0.0.0:0"], "whoever can connect is root on this host; set tlsverify"),
        (["-H", "tcp://127.0.0.1:0", "--tlsverify"], "TLS needs tlscert"),
        (["-H", "ftp://x"], "it is neither unix://, tcp:// nor fd://"),
        (["-H", "fd://"], "no sockets were passed"),
        (["--group", "nosuchgroup"], "there is no group nosuchgroup"),
        (["--log-driver", "nosuch"], "no log driver named 'nosuch'"),
    ],
)
def test_a_door_that_cannot_be_opened_ends_the_start(tmp_path, options, message) -> None:
    script = "import sys; from sampan.cli.sampand import main; sys.exit(main())"
    places = ["--root", str(tmp_path / "root"), "--run", str(tmp_path / "run"), "--foreground"]
    done = subprocess.run(
        [sys.executable, "-c", script, *places, *options],
        env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_attach_over_a_websocket(engine: Engine) -> None:
    import base64
    import struct

    container = engine.create("cat", OpenStdin=True, AttachStdin=True)
    assert engine.request("POST", f"/containers/{container}/start")[0] == 204
    with engine.connect() as sock:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": key}  # fmt: skip
        path = f"/containers/{container}/attach/ws?stream=1&stdin=1&stdout=1"
        sock.sendall(head("GET", path, None, upgrade))
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101")
        text = b"typed\n"
        sock.sendall(struct.pack("!BB4x", 0x81, 0x80 | len(text)) + text)
        received = answer.partition(b"\r\n\r\n")[2]
        while text not in received:
            chunk = sock.recv(4096)
            assert chunk
            received += chunk
        assert received == struct.pack("!BB", 0x82, len(text)) + text
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_defaults_of_the_engine_are_in_its_containers(tmp_path) -> None:
    path = tmp_path / "sampand.json"
    path.write_text(
        json.dumps(
            {
                "bip": "10.131.7.1/24",
                "default-address-pools": [{"base": "10.132.0.0/16", "size": 26}],
                "ip": "127.0.0.1",
                "dns": ["10.131.7.53"],
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 77, "Hard": 99}},
                "default-shm-size": "3m",
                "no-new-privileges": True,
                "log-driver": "local",
                "log-opts": {"max-file": "2"},
                "labels": ["rack=7"],
            }
        )
    )
    with Engine("--config-file", str(path)) as engine:
        bindings = {"PortBindings": {"80/tcp": [{}]}, "NetworkMode": "bridge"}
        script = "ulimit -n; df -k /dev/shm; grep NoNewPrivs /proc/1/status; cat /etc/resolv.conf"
        container = engine.run("sh", "-c", f"{script}; sleep 60", HostConfig=bindings)
        found = engine.inspect(container)
        assert found["NetworkSettings"]["IPAddress"].startswith("10.131.7.")
        (binding,) = found["NetworkSettings"]["Ports"]["80/tcp"]
        assert binding["HostIp"] == "127.0.0.1"
        assert found["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-file": "2"}}
        created = engine.request("POST", "/networks/create", {"Name": "pooled"})
        assert created[0] == 201
        pool = engine.request("GET", "/networks/pooled")[1]["IPAM"]["Config"][0]
        assert pool["Subnet"] == "10.132.0.0/26"
        assert engine.request("DELETE", "/networks/pooled")[0] == 204
        assert engine.request("GET", "/info")[1]["Labels"] == ["rack=7"]
        for expected in (b"77\n", b" 3072 ", b"NoNewPrivs:\t1", b"nameserver 10.131.7.53"):
            while expected not in (
                output := engine.request("GET", f"/containers/{container}/logs?stdout=1")[1]
            ):
                assert engine.inspect(container)["State"]["Running"], output


def test_the_log_as_json() -> None:
    with Engine("--log-format", "json", "--log-level", "info") as engine:
        records = [json.loads(line) for line in engine.log().splitlines()]
    (listening,) = [record for record in records if record["msg"].startswith("listening at")]
    assert (listening["level"], listening["logger"]) == ("info", "sampan")
    assert datetime.datetime.fromisoformat(listening["time"].replace("Z", "+00:00")).tzinfo
    with Engine("--log-level", "error") as engine:
        assert engine.log() == ""
