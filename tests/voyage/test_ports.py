"""Published ports as a user meets them: many at once, and on the loopback of IPv6."""

from __future__ import annotations

import socket

from .conftest import IMAGE
from .programs import Cli, until
from .test_network import SERVE, fetch


def free_range(number: int) -> int:
    """The first of so many ports that nobody has."""
    for first in range(20000, 60000, number):
        try:
            for port in range(first, first + number):
                with socket.socket() as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return first
    raise AssertionError(f"no {number} ports in a row are free")


def test_hundreds_of_ports_at_once(cli: Cli) -> None:
    """More than one message to the monitor can carry (SCM_MAX_FD)."""
    first, number = free_range(300), 300
    ports = f"{first}-{first + number - 1}"
    server = f"for p in {first} {first + number - 1}; do httpd -p $p -h /tmp; done; sleep 1000"
    cli.run("-d", "--name", "many", "-p", f"{ports}:{ports}", IMAGE, "sh", "-c",
            f"echo page > /tmp/index.html; {server}")  # fmt: skip
    for host in ("127.0.0.1", "[::1]"):
        for port in (first, first + number - 1):
            until(lambda h=host, p=port: fetch(f"http://{h}:{p}/") == "page\n")  # type: ignore[misc]
    cli("rm", "-f", "many")
    cli.run("-d", "--name", "again", "-p", f"{ports}:{ports}", IMAGE, "sleep", "1000")


def test_the_loopback_of_ipv6_reaches_a_dual_stack_container(cli: Cli) -> None:
    cli("network", "create", "--ipv6", "both")
    try:
        options = ["--name", "web", "--network", "both", "-p", "80", "-p", "[::1]::80"]
        cli.run("-d", *options, IMAGE, "sh", "-c", SERVE)
        shown = cli.text("port", "web", "80/tcp").splitlines()
        ports = {line.rpartition(":")[2] for line in shown}
        assert len(ports) == 2
        until(lambda: fetch(f"http://127.0.0.1:{shown[0].rpartition(':')[2]}/") == "page\n")
        for port in ports:
            assert fetch(f"http://[::1]:{port}/") == "page\n"
    finally:
        cli("rm", "-f", "web")
        cli("network", "rm", "both")
