"""Published ports and the default bridge, as a user meets them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request

from .conftest import IMAGE
from .programs import Cli, until

SERVE = "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp"


def fetch(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()
    except OSError:
        return ""


def serve(cli: Cli, name: str) -> int:
    cli.run("-d", "--name", name, "-p", "80", IMAGE, "sh", "-c", SERVE)
    port = int(cli.text("port", name, "80/tcp").splitlines()[0].rpartition(":")[2])
    until(lambda: fetch(f"http://127.0.0.1:{port}/") == "page\n")
    return port


def test_published_port_from_everywhere(cli: Cli) -> None:
    port = serve(cli, "web")
    assert fetch(f"http://[::1]:{port}/") == "page\n"
    settings = json.loads(cli.text("inspect", "web"))[0]["NetworkSettings"]
    assert fetch(f"http://{settings['IPAddress']}/") == "page\n"
    gateway = settings["Gateway"]
    assert fetch(f"http://{gateway}:{port}/") == "page\n"
    ask = ["wget", "-q", "-O", "-", f"http://{gateway}:{port}/"]
    assert cli.run("--rm", IMAGE, *ask).stdout == "page\n"  # another container
    assert cli("exec", "web", *ask).stdout == "page\n"  # itself, around the corner


def test_port_is_free_again_at_once(cli: Cli) -> None:
    port = serve(cli, "first")
    cli("rm", "-f", "first")
    cli.run("-d", "--name", "second", "-p", f"{port}:80", IMAGE, "sh", "-c", SERVE)
    until(lambda: fetch(f"http://127.0.0.1:{port}/") == "page\n")


ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 53))
while True:
    data, sender = sock.recvfrom(100)
    sock.sendto(data, sender)
"""


def test_udp(cli: Cli) -> None:
    cli.run("-d", "--name", "dns", "-p", "53/udp", IMAGE, "sleep", "1000")
    port = int(cli.text("port", "dns").splitlines()[0].rpartition(":")[2])
    pid = cli.text("inspect", "--format", "{{.State.Pid}}", "dns")
    server = subprocess.Popen(["nsenter", "-t", pid, "-n", sys.executable, "-c", ECHO])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)

        def answered() -> bool:
            sock.sendto(b"ping", ("127.0.0.1", port))
            try:
                return sock.recv(100) == b"ping"
            except OSError:
                return False

        until(answered)
    server.kill()
    server.wait()


def test_containers_reach_each_other_and_names(cli: Cli) -> None:
    cli("network", "create", "--label", "voyage=1", "harbour")
    try:
        cli.run("-d", "--name", "quay", "--network", "harbour", IMAGE, "sh", "-c", SERVE)
        ask = "for i in 1 2 3 4 5; do ping -c1 -W1 quay >/dev/null && echo seen && break; done"
        assert cli.run("--rm", "--network", "harbour", IMAGE, "sh", "-c", ask).stdout == "seen\n"
    finally:
        cli("rm", "-f", "quay")
        cli("network", "rm", "harbour")


def test_host_network(cli: Cli) -> None:
    assert (
        cli.run("--rm", "--network", "host", IMAGE, "hostname").stdout.strip()
        == socket.gethostname()
    )
