"""Published ports and the default bridge, as a user meets them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import IMAGE
from .host import Host
from .programs import Cli, Engine, until

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


@pytest.fixture
def harbour(cli: Cli) -> Iterator[str]:
    cli("network", "create", "--label", "voyage=1", "harbour")
    yield "harbour"
    cli.remove_all()
    cli("network", "rm", "harbour")


def resolve(cli: Cli, container: str, name: str) -> str:
    """What the container's name server says: an address, or nothing."""
    done = cli("exec", container, "nslookup", "-type=a", name, check=False)
    lines = done.stdout.splitlines()[2:]  # without the server's own
    return next((line.split()[-1] for line in lines if line.startswith("Address")), "")


def address(cli: Cli, container: str, network: str) -> str:
    networks = json.loads(cli.text("inspect", container))[0]["NetworkSettings"]["Networks"]
    found: str = networks[network]["IPAddress"]
    return found


def test_containers_reach_each_other_and_names(cli: Cli, harbour: str) -> None:
    cli.run("-d", "--name", "quay", "--network", harbour, IMAGE, "sh", "-c", SERVE)
    ask = "for i in 1 2 3 4 5; do ping -c1 -W1 quay >/dev/null && echo seen && break; done"
    assert cli.run("--rm", "--network", harbour, IMAGE, "sh", "-c", ask).stdout == "seen\n"


def test_every_name_of_a_container(cli: Cli, harbour: str) -> None:
    where = ["--network", harbour]
    cli.run("-d", "--name", "asker", *where, IMAGE, "sleep", "1000")
    options = ["--name", "Pier", "--hostname", "beach", "--network-alias", "mole"]
    cli.run("-d", *options, *where, IMAGE, "sleep", "1000")
    short_id = cli.text("ps", "-q", "--filter", "name=Pier")
    expected = address(cli, "Pier", harbour)
    for name in ("pier", "PIER", "mole", "beach", short_id, "Pier.harbour", "mole.harbour"):
        assert resolve(cli, "asker", name) == expected, name
    reverse = cli("exec", "asker", "nslookup", expected).stdout
    assert "Pier.harbour" in reverse
    cli("rename", "Pier", "bollard")
    assert resolve(cli, "asker", "bollard") == expected
    assert resolve(cli, "asker", "mole") == expected
    cli("rm", "-f", "bollard")
    assert resolve(cli, "asker", "mole") == ""


def test_links_to_one_who_comes_later(cli: Cli, harbour: str) -> None:
    """Given at `run` and at `network connect`; the alias means whoever has the name."""
    cli.run("-d", "--name", "one", "--network", harbour, "--link", "late:l", IMAGE, "sleep", "1000")
    cli.run("-d", "--name", "two", IMAGE, "sleep", "1000")
    cli("network", "connect", "--link", "late:l", harbour, "two")
    for _ in range(2):
        cli.run("-d", "--name", "late", "--network", harbour, IMAGE, "sleep", "1000")
        expected = address(cli, "late", harbour)
        assert (resolve(cli, "one", "l"), resolve(cli, "two", "l")) == (expected, expected)
        cli("rm", "-f", "late")
    assert resolve(cli, "two", "l") == ""


def test_names_end_at_the_network(cli: Cli, harbour: str) -> None:
    cli.run("-d", "--name", "inside", "--network", harbour, IMAGE, "sleep", "1000")
    cli.run("-d", "--name", "outside", IMAGE, "sleep", "1000")
    assert resolve(cli, "inside", "outside") == ""
    assert "127.0.0.11" not in cli("exec", "outside", "cat", "/etc/resolv.conf").stdout
    cli("network", "connect", "--alias", "guest", harbour, "outside")
    assert resolve(cli, "inside", "guest") == address(cli, "outside", harbour)
    assert resolve(cli, "outside", "inside") == address(cli, "inside", harbour)
    cli("network", "disconnect", harbour, "outside")
    assert resolve(cli, "inside", "guest") == ""


def test_resolv_conf_keeps_search_domains(cli: Cli, harbour: str) -> None:
    options = ["--dns-search", "port.example", "--dns", "192.0.2.1"]
    show = cli.run("--rm", "--network", harbour, *options, IMAGE, "cat", "/etc/resolv.conf").stdout
    lines = [line for line in show.splitlines() if not line.startswith("#") and line]
    assert sorted(lines) == ["nameserver 127.0.0.11", "options ndots:0", "search port.example"]


NAME_SERVER = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.53", 53))
print("ready", flush=True)
while True:
    data, sender = sock.recvfrom(512)
    question = data[12:data.index(b"\\0", 12) + 5]
    sock.sendto(data[:2] + bytes.fromhex("81800001000100000000") + question
        + bytes.fromhex("c00c000100010000003c0004cb007107"), sender)
"""


def test_the_rest_of_the_world_is_asked_from_the_host(sampan: Cli) -> None:
    sampan("network", "create", "outer")
    server = subprocess.Popen([sys.executable, "-c", NAME_SERVER], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        options = ["--name", "asker", "--network", "outer", "--dns", "127.0.0.53"]
        sampan.run("-d", *options, IMAGE, "sleep", "1000")
        assert resolve(sampan, "asker", "www.example.org") == "203.0.113.7"
        assert resolve(sampan, "asker", "asker") == address(sampan, "asker", "outer")
    finally:
        server.kill()
        server.communicate()
        sampan.remove_all()
        sampan("network", "rm", "outer")


def bridge_of(cli: Cli, network: str) -> str:
    return "smp-" + cli.text("network", "inspect", "--format", "{{.Id}}", network)[:10]


def ask_inside(cli: Cli, container: str, name: str) -> list[str]:
    """The same question, put without an engine: from inside the container's namespace."""
    pid = cli.text("inspect", "--format", "{{.State.Pid}}", container)
    program = f"""
import socket
question = bytes.fromhex("123401000001000000000000")
for label in {name!r}.split("."):
    question += bytes([len(label)]) + label.encode()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.sendto(question + bytes.fromhex("0000010001"), ("127.0.0.11", 53))
print(socket.inet_ntoa(sock.recv(512)[-4:]))
"""
    return ["nsenter", "-t", pid, "-n", sys.executable, "-c", program]


def left(host: Host) -> tuple[int, int]:
    """What networks leave behind, if they do; the rest of the host may be busy with others."""
    return host.links(), host.nft_elements()


def test_names_are_answered_while_no_engine_runs(sampan: Cli, engine: Engine, host: Host) -> None:
    sampan("network", "create", "harbour")
    try:
        before = left(host)
        for name in ("one", "two", "three"):
            sampan.run("-d", "--name", name, "--network", "harbour", IMAGE, "sleep", "1000")
        expected = {n: address(sampan, n, "harbour") for n in ("two", "three")}
        three = int(sampan.text("inspect", "--format", "{{.State.Pid}}", "three"))
        ask = {n: ask_inside(sampan, "one", n) for n in ("two", "three")}
        brif = f"/sys/class/net/{bridge_of(sampan, 'harbour')}/brif"
        engine.kill()

        def answered(name: str) -> str:
            return subprocess.check_output(ask[name], text=True).strip()

        assert {name: answered(name) for name in ask} == expected
        os.kill(three, 9)  # dies while nobody looks: its sockets keep no link, its name is gone
        until(lambda: len(os.listdir(brif)) == 2, message="the resolver kept a link alive")
        engine.start()
        assert resolve(sampan, "one", "two") == expected["two"]
        assert resolve(sampan, "one", "three") == ""
        sampan("rm", "-f", "one", "two", "three")
        until(lambda: left(host) == before, message=f"{left(host)} != {before}")
        until(lambda: not os.listdir(brif), message="a name server kept a link alive")
        until(lambda: not (engine.run / "resolver.sock").exists(), message="who needs it?")
    finally:
        sampan.remove_all()
        sampan("network", "rm", "harbour")


def test_another_resolver_takes_the_place_of_one_that_was_killed(
    sampan: Cli, engine: Engine
) -> None:
    sampan("network", "create", "harbour")
    try:
        for name in ("one", "two"):
            sampan.run("-d", "--name", name, "--network", "harbour", IMAGE, "sleep", "1000")
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(engine.run / "resolver.sock"))
            peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        os.kill(int.from_bytes(peer[:4], sys.byteorder), 9)
        until(lambda: resolve(sampan, "one", "two") == address(sampan, "two", "harbour"))
    finally:
        sampan.remove_all()
        sampan("network", "rm", "harbour")


def test_the_doctor_tells_who_reaches_what_and_what_is_wrong(sampan: Cli) -> None:
    sampan("network", "create", "ward")
    try:
        options = ["--network", "ward", "-p", "127.0.0.1::80"]
        sampan.run("-d", "--name", "patient", *options, IMAGE, "sleep", "1000")
        port = sampan.text("port", "patient", "80/tcp").rpartition(":")[2]
        told = sampan("network", "doctor", check=False).stdout
        assert f"port {port}/tcp: reachable from this host alone: patient, " in told
        assert "ok     names: served to 1 containers" in told
        subprocess.run(["ip", "link", "set", bridge_of(sampan, "ward"), "down"], check=True)
        done = sampan("network", "doctor", "--quiet", check=False)
        assert (done.returncode, "network ward: its bridge" in done.stdout) == (1, True)
    finally:
        sampan.remove_all()
        sampan("network", "rm", "ward")


@pytest.mark.skipif(not os.path.exists("/usr/lib/cni/ptp"), reason="no CNI plugins")
def test_a_network_of_cni_plugins(sampan: Cli, engine: Engine, tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    ipam = {"type": "host-local", "dataDir": str(leases), "subnet": "10.213.7.0/24"}
    plugins = [{"type": "ptp", "ipam": ipam}]  # no bridge is left on the host
    document = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
    conflist = tmp_path / "pods.conflist"
    conflist.write_text(json.dumps(document))
    sampan("network", "create", "-d", "cni", "-o", f"conflist={conflist}", "pods")
    try:
        sampan.run("-d", "--name", "pod", "--network", "pods", IMAGE, "sh", "-c", SERVE)
        where = address(sampan, "pod", "pods")
        assert where.startswith("10.213.7.")
        until(lambda: fetch(f"http://{where}/") == "page\n")
        assert resolve(sampan, "pod", "pod") == where
        engine.kill()
        engine.start()
        assert address(sampan, "pod", "pods") == where
        (cached,) = json.loads(sampan.text("network", "cni", "results", "pods"))
        assert cached["result"]["ips"][0]["address"] == f"{where}/24"
        assert "older than CNI 1.1" in sampan.text("network", "cni", "status", "pods")
        assert "pod, eth0: as its plugins made it" in sampan.text("network", "cni", "check", "pods")
        sampan("exec", "--privileged", "pod", "ip", "addr", "del", f"{where}/24", "dev", "eth0")
        done = sampan("network", "cni", "check", "pods", check=False)
        assert (done.returncode, "CNI plugin ptp, CHECK" in done.stdout) == (1, True), done
        assert "nothing was left over" in sampan.text("network", "cni", "gc", "pods")
        done = sampan("network", "cni", "check", "bridge", check=False)
        assert "network bridge is not made by CNI plugins" in done.stderr
        sampan("rm", "-f", "pod")
        assert not list(leases.glob("pods/10.*"))
        sampan.run("-d", "--name", "pod", "--network", "pods", IMAGE, "sleep", "1000")
        pid = int(sampan.text("inspect", "--format", "{{.State.Pid}}", "pod"))
        engine.kill()
        os.kill(pid, 9)  # its address is given back by the next engine
        engine.start()
        until(lambda: not list(leases.glob("pods/10.*")))
        done = sampan("network", "create", "-d", "cni", "pods2", check=False)
        assert "-o conflist=FILE" in done.stderr
    finally:
        sampan.remove_all()
        sampan("network", "rm", "pods")


def test_an_overlay_needs_to_know_its_hosts(sampan: Cli, host: Host) -> None:
    subnet = ["--subnet", "10.214.0.0/16", "--ip-range", "10.214.1.0/24"]
    hosts = ["-o", "local=127.0.0.1", "-o", "peers=127.0.0.2,127.0.0.3"]
    wrong: dict[str, list[str]] = {
        "--ip-range, another on each": [*hosts, "-o", "vni=7"],
        "-o peers=": [*subnet, *hosts[:2], "-o", "vni=7"],
        "vni must be": [*subnet, *hosts, "-o", "vni=none"],
        "not supported": [*subnet, *hosts, "-o", "vni=7", "-o", "encrypted="],
    }
    before = left(host)
    for sentence, options in wrong.items():
        done = sampan("network", "create", "-d", "overlay", *options, "sea", check=False)
        assert sentence in done.stderr
    done = sampan(
        "network", "create", "-d", "overlay", *subnet, *hosts, "-o", "vni=7", "sea", check=False
    )
    if "no VXLAN" in done.stderr:
        pytest.skip("this kernel has no VXLAN")
    assert done.returncode == 0, done.stderr
    try:
        options = ["--name", "sailor", "--network", "sea", "-p", "80"]
        sampan.run("-d", *options, IMAGE, "sh", "-c", SERVE)
        assert address(sampan, "sailor", "sea").startswith("10.214.1.")
        port = sampan.text("port", "sailor", "80/tcp").splitlines()[0].rpartition(":")[2]
        until(lambda: fetch(f"http://127.0.0.1:{port}/") == "page\n")
    finally:
        sampan.remove_all()
        sampan("network", "rm", "sea")
    until(lambda: left(host) == before, message=f"{left(host)} != {before}")


EGRESS = "sampan.network.egress"


def test_policies_of_a_network_and_of_a_container(sampan: Cli) -> None:
    sampan("network", "create", "-o", f"{EGRESS}=one two:80", "fenced")
    try:
        for name in ("one", "two"):
            serving = "echo page > /tmp/index.html; httpd -p 81 -h /tmp; " + SERVE
            sampan.run("-d", "--name", name, "--network", "fenced", IMAGE, "sh", "-c", serving)

        def reached(*options: str) -> list[str]:
            pages = ["one:80", "one:81", "two:80", "two:81"]
            ask = f"for p in {' '.join(pages)}; do wget -q -O /dev/null http://$p/ && echo $p; done"
            label = ["--network", "fenced", *options]
            done = sampan.run("--rm", *label, IMAGE, "sh", "-c", ask, check=False)
            return done.stdout.split()

        until(lambda: reached() == ["one:80", "one:81", "two:80"])
        assert reached("--label", f"{EGRESS}=*:81") == ["one:81"]
        label = ["--label", f"{EGRESS}=*:80", "--network", "fenced"]
        ask = "wget -q -O /dev/null http://one/; wget -q -O /dev/null http://two:81/; sleep 1000"
        sampan.run("-d", "--name", "three", *label, IMAGE, "sh", "-c", ask)
        columns = "{{.Interface}} {{.Rule}} {{.Hits}}"

        def hits() -> dict[str, str]:
            lines = sampan.text("network", "policy", "--format", columns, "three").splitlines()
            return dict(line.rsplit(" ", 1) for line in lines)

        wanted = {"all *:80": "1", "eth0 one": "1", "eth0 two:80": "0"}
        until(lambda: hits().items() >= wanted.items() and hits()["all (refused)"] != "0")
        assert address(sampan, "one", "fenced") in sampan.text("network", "policy", "three")
        doctor = sampan("network", "doctor", check=False).stdout
        assert "; see sampan network policy three" in doctor
        assert sampan("network", "policy", "one").stdout.count("\n") == 4
        wrong = {
            ("--label", f"{EGRESS}=*", "--privileged"): "could take its network policy away",
            ("--privileged",): "could take its network policy away",
            ("--label", f"{EGRESS}=10.0.0.300"): "neither an address",
        }
        for options, sentence in wrong.items():
            done = sampan.run("--rm", "--network", "fenced", *options, IMAGE, "true", check=False)
            assert sentence in done.stderr
        done = sampan.run("--rm", "--label", f"{EGRESS}=one", IMAGE, "true", check=False)
        assert "need a user-defined network" in done.stderr
        bad = sampan("network", "create", "-o", f"{EGRESS}=x:y", "worse", check=False)
        assert f"{EGRESS}: 'y' in 'x:y' is no port" in bad.stderr
    finally:
        sampan.remove_all()
        sampan("network", "rm", "fenced")


def test_host_network(cli: Cli) -> None:
    assert (
        cli.run("--rm", "--network", "host", IMAGE, "hostname").stdout.strip()
        == socket.gethostname()
    )
