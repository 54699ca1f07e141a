"""Networks through the API: address families, pools, ways out, links; inside real containers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sampan.linux.nft import Nft, Refused
from tests.engine_process import PATIENCE, Engine

pytestmark = pytest.mark.needs("mount", "netns", "nft")


@contextlib.contextmanager
def network(engine: Engine, name: str, **body: Any) -> Iterator[dict[str, Any]]:
    status, answer = engine.request("POST", "/networks/create", {"Name": name, **body})
    assert status == 201, answer
    try:
        yield engine.request("GET", f"/networks/{name}")[1]
    finally:
        remove_containers(engine)
        status, answer = engine.request("DELETE", f"/networks/{name}")
        assert status == 204, answer


def remove_containers(engine: Engine) -> None:
    for container in engine.request("GET", "/containers/json?all=1")[1]:
        engine.request("DELETE", f"/containers/{container['Id']}?force=1")


def on(name: str, settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What `create` needs for a container on this network."""
    return {
        "HostConfig": {"NetworkMode": name, **more},
        "NetworkingConfig": {"EndpointsConfig": {name: settings or {}}},
    }


def run(engine: Engine, container: str, *command: str) -> tuple[int, str]:
    """exec: exit code and output."""
    body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True, "Tty": True}
    exec_id = engine.request("POST", f"/containers/{container}/exec", body)[1]["Id"]
    _, output = engine.request("POST", f"/exec/{exec_id}/start", {"Tty": True})
    code = engine.request("GET", f"/exec/{exec_id}/json")[1]["ExitCode"]
    return code, output.decode(errors="replace")


def pools(*subnets: str, **more: str) -> dict[str, Any]:
    return {"Config": [{"Subnet": subnet, **more} for subnet in subnets]}


def test_dual_stack(engine: Engine) -> None:
    with network(engine, "dual", EnableIPv6=True) as info:
        assert info["EnableIPv6"] is True
        four, six = info["IPAM"]["Config"]
        assert six["Subnet"].startswith("fd")
        web = engine.run("httpd", "-f", "-p", "80", name="web6", **on("dual"))
        settings = engine.inspect(web)["NetworkSettings"]["Networks"]["dual"]
        assert settings["GlobalIPv6PrefixLen"] == 64
        assert settings["IPv6Gateway"] == six["Gateway"]
        client = engine.run("sleep", "60", **on("dual"))
        for target in ("web6", settings["GlobalIPv6Address"], settings["IPAddress"]):
            for flag in ("-6",) if ":" in target else ("-4",) if target != "web6" else ("-4", "-6"):
                code, output = run(engine, client, "ping", flag, "-c1", "-w5", target)
                assert code == 0, output
        code, output = run(engine, client, "cat", "/etc/hosts")
        own = engine.inspect(client)["NetworkSettings"]["Networks"]["dual"]
        assert f"{own['GlobalIPv6Address']}\t" in output
        members = engine.request("GET", "/networks/dual")[1]["Containers"]
        assert members[web]["IPv6Address"] == settings["GlobalIPv6Address"] + "/64"
        assert four["Subnet"].endswith("/16") or four["Subnet"].endswith("/20")


def test_ipv6_alone_and_static_addresses(engine: Engine) -> None:
    wanted = {"IPAMConfig": {"IPv6Address": "fd00:99::77"}}
    body = {"EnableIPv4": False, "EnableIPv6": True, "IPAM": pools("fd00:99::/64")}
    with network(engine, "six", **body) as info:
        assert info["EnableIPv4"] is False
        container = engine.run("sleep", "60", **on("six", wanted))
        settings = engine.inspect(container)["NetworkSettings"]["Networks"]["six"]
        assert (settings["IPAddress"], settings["GlobalIPv6Address"]) == ("", "fd00:99::77")
        _, output = run(engine, container, "ip", "-6", "route")
        assert "default via fd00:99::1" in output


def test_a_subnet_of_a_family_that_is_off_is_not_used_and_said_so(engine: Engine) -> None:
    body = {"Name": "half", "IPAM": pools("10.127.0.0/24", "fd00:5::/64")}
    status, answer = engine.request("POST", "/networks/create", body)
    assert (status, answer["Warning"]) == (
        201,
        "subnet fd00:5::/64 is not used: its address family is not enabled",
    )
    wanted = {"IPAMConfig": {"IPv6Address": "fd00:5::9"}}
    container = engine.run("sleep", "60", **on("half", wanted))
    settings = engine.inspect(container)["NetworkSettings"]["Networks"]["half"]
    assert settings["GlobalIPv6Address"] == ""
    assert settings["IPAddress"].startswith("10.127.0.")
    remove_containers(engine)
    assert engine.request("DELETE", "/networks/half")[0] == 204


def test_ranges_and_reserved_addresses_are_kept(engine: Engine) -> None:
    config = {
        "Subnet": "10.123.0.0/16",
        "IPRange": "10.123.5.0/29",
        "Gateway": "10.123.0.254",
        "AuxiliaryAddresses": {"router": "10.123.5.1", "other": "10.123.5.2"},
    }
    with network(engine, "ranged", IPAM={"Config": [config]}) as info:
        assert info["IPAM"]["Config"] == [config]
        given = set()
        for _ in range(2):
            container = engine.run("sleep", "60", **on("ranged"))
            found = engine.inspect(container)["NetworkSettings"]["Networks"]["ranged"]
            given.add(found["IPAddress"])
        assert given == {"10.123.5.0", "10.123.5.3"}


def test_the_gateway_priority_decides_the_way_out(engine: Engine) -> None:
    with (
        network(engine, "aaa", IPAM=pools("10.124.1.0/24")),
        network(engine, "zzz", IPAM=pools("10.124.2.0/24")),
    ):
        container = engine.run("sleep", "60", **on("zzz"))

        def default() -> str:
            return run(engine, container, "ip", "route")[1].split("default via ")[1].split()[0]

        assert default() == "10.124.2.1"
        connect = {"Container": container, "EndpointConfig": {"GwPriority": -1}}
        assert engine.request("POST", "/networks/aaa/connect", connect)[0] == 200
        assert default() == "10.124.2.1"
        leave = {"Container": container}
        assert engine.request("POST", "/networks/aaa/disconnect", leave)[0] == 200
        connect = {"Container": container, "EndpointConfig": {"GwPriority": 5}}
        assert engine.request("POST", "/networks/aaa/connect", connect)[0] == 200
        assert default() == "10.124.1.1"
        assert engine.request("POST", "/networks/aaa/disconnect", leave)[0] == 200
        assert default() == "10.124.2.1"


def test_interfaces_keep_their_names_and_may_be_named(engine: Engine) -> None:
    with (
        network(engine, "one", IPAM=pools("10.125.1.0/24")),
        network(engine, "two", IPAM=pools("10.125.2.0/24")),
        network(engine, "three", IPAM=pools("10.125.3.0/24")),
    ):
        container = engine.run("sleep", "60", **on("one"))
        name = {"DriverOpts": {"com.docker.network.endpoint.ifname": "data0"}}

        def connect(network: str, settings: dict[str, Any] | None = None) -> None:
            body = {"Container": container, "EndpointConfig": settings or {}}
            status, answer = engine.request("POST", f"/networks/{network}/connect", body)
            assert status == 200, answer

        connect("two")
        body = {"Container": container}
        assert engine.request("POST", "/networks/one/disconnect", body)[0] == 200
        connect("three", name)
        connect("one")
        _, output = run(engine, container, "ip", "-o", "-4", "addr")
        found = {line.split()[1]: line.split()[3] for line in output.splitlines()}
        assert found["eth1"].startswith("10.125.2.")
        assert found["data0"].startswith("10.125.3.")
        assert found["eth0"].startswith("10.125.1.")


def test_sysctls_of_an_interface(engine: Engine) -> None:
    sysctls = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.rp_filter=2"
    wanted = {"DriverOpts": {"com.docker.network.endpoint.sysctls": sysctls}}
    with network(engine, "tuned"):
        container = engine.run("sleep", "60", **on("tuned", wanted))
        path = "/proc/sys/net/ipv4/conf/eth0/"
        _, output = run(engine, container, "cat", f"{path}log_martians", f"{path}rp_filter")
        assert output.split() == ["1", "2"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"IPAM": pools("10.9.0.1/16")}, 400, "invalid subnet 10.9.0.1/16"),
        ({"IPAM": pools("10.1.0.0/16", "10.2.0.0/16")}, 400, "only one IPv4 subnet per network"),
        ({"EnableIPv4": False}, 400, "IPv4 or IPv6 must be enabled"),
        ({"IPAM": pools("10.9.0.0/24", Gateway="10.8.0.1")}, 400, "invalid gateway 10.8.0.1"),
        ({"IPAM": pools("10.9.0.0/24", IPRange="10.8.0.0/28")}, 400, "invalid ip-range"),
        ({"Driver": "nosuch"}, 404, 'plugin "nosuch" not found'),
        ({"Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
        ({"Driver": "macvlan"}, 400, "needs a parent interface"),
        ({"Driver": "macvlan", "Options": {"parent": "nope0"}}, 400, "nope0 does not exist"),
        ({"Options": {"com.docker.network.driver.mtu": "big"}}, 400, "must be a number of bytes"),
        ({"Options": {"com.docker.network.bridge.enable_icc": "perhaps"}}, 400, "true or false"),
        (
            {"Options": {"com.docker.network.bridge.gateway_mode_ipv4": "fast"}},
            400,
            "unknown gateway mode fast",
        ),
        ({"Options": {"com.docker.network.bridge.name": "x" * 16}}, 400, "at most 15 bytes"),
    ],
)
def test_a_network_that_cannot_be_is_refused_and_leaves_nothing(
    engine: Engine, body: dict[str, Any], status: int, message: str
) -> None:
    before = engine.request("GET", "/networks")[1]
    found, answer = engine.request("POST", "/networks/create", {"Name": "bad", **body})
    assert message in answer["message"]
    assert found == status
    assert engine.request("GET", "/networks")[1] == before


def test_a_network_after_a_configuration(engine: Engine) -> None:
    def create(name: str, **body: object) -> tuple[int, str]:
        status, answer = engine.request("POST", "/networks/create", {"Name": name, **body})
        return status, answer.get("message", "")

    pools = {"Config": [{"Subnet": "10.97.0.0/24", "Gateway": "10.97.0.9"}]}
    labels = {"of": "both"}
    assert create("plan", ConfigOnly=True, IPAM=pools, Labels=labels)[0] == 201
    plan = engine.request("GET", "/networks/plan")[1]
    assert (plan["ConfigOnly"], plan["Driver"], plan["IPAM"]["Config"]) == (
        True,
        "null",
        pools["Config"],
    )
    after = {"ConfigFrom": {"Network": "plan"}}
    assert create("built", **after)[0] == 201
    built = engine.request("GET", "/networks/built")[1]
    assert (built["ConfigFrom"], built["ConfigOnly"]) == ({"Network": "plan"}, False)
    assert (built["IPAM"]["Config"], built["Labels"]) == (pools["Config"], labels)
    for body, message in (
        ({**after, "Options": {"a": "b"}}, "network driver options are not supported"),
        ({**after, "Internal": True, "EnableIPv6": True}, "user-specified configurations are not"),
        ({**after, "ConfigOnly": True}, "cannot depend on another configuration network"),
        ({"ConfigOnly": True, "Internal": True}, "can only contain network specific fields"),
        ({"ConfigFrom": {"Network": "bridge"}}, '"bridge" does not exist'),
    ):
        status, said = create("bad", **body)
        assert (status in (403, 404), message in said) == (True, True), said
    idle = {"Image": "busybox", "HostConfig": {"NetworkMode": "plan"}}
    ident = engine.request("POST", "/containers/create", idle)[1]["Id"]
    assert (
        "is for no containers" in engine.request("POST", f"/containers/{ident}/start")[1]["message"]
    )
    remove_containers(engine)
    assert "is in use" in engine.request("DELETE", "/networks/plan")[1]["message"]
    for name in ("built", "plan"):
        assert engine.request("DELETE", f"/networks/{name}")[0] == 204


def test_links_on_the_default_bridge_give_variables_and_names(engine: Engine) -> None:
    exposed = {"ExposedPorts": {"5432/tcp": {}}, "Env": ["POSTGRES_DB=shop"]}
    target = engine.run("sleep", "60", name="db", HostConfig={"NetworkMode": "bridge"}, **exposed)
    address = engine.inspect(target)["NetworkSettings"]["IPAddress"]
    client = engine.run(
        "sh", "-c", "env; cat /etc/hosts; sleep 60", name="shop",
        HostConfig={"NetworkMode": "bridge", "Links": ["db:store"]},
    )  # fmt: skip
    assert engine.inspect(client)["HostConfig"]["Links"] == ["/db:/shop/store"]
    _, output = run(engine, client, "sh", "-c", "cat /etc/hosts; tr '\\0' '\\n' < /proc/1/environ")
    lines = output.replace("\r", "").splitlines()
    assert f"{address}\tstore {target[:12]} db" in lines
    for line in (
        "STORE_NAME=/shop/store",
        f"STORE_PORT=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP_ADDR={address}",
        "STORE_PORT_5432_TCP_PORT=5432",
        "STORE_PORT_5432_TCP_PROTO=tcp",
        "STORE_ENV_POSTGRES_DB=shop",
    ):
        assert line in lines
    assert engine.request("GET", "/containers/shop/json")[0] == 200
    listed = engine.request("GET", "/containers/json")[1]
    names = next(c["Names"] for c in listed if c["Id"] == target)
    assert sorted(names) == ["/db", "/shop/store"]
    assert engine.request("DELETE", "/containers/shop/store?link=1")[0] == 204
    assert engine.inspect(client)["HostConfig"]["Links"] is None
    remove_containers(engine)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (["nobody:x"], "could not get container for nobody: No such container: nobody"),
        (["a:b:c"], "bad format for links: a:b:c"),
        ([""], "empty string specified for links"),
    ],
)
def test_a_link_to_nothing_is_refused(engine: Engine, links: list[str], message: str) -> None:
    body = {"Image": "busybox", "HostConfig": {"NetworkMode": "bridge", "Links": links}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert (status, answer["message"]) == (400, message)


def test_a_link_to_a_stopped_container_fails_the_start(engine: Engine) -> None:
    engine.create("true", name="cold", HostConfig={"NetworkMode": "bridge"})
    host = {"NetworkMode": "bridge", "Links": ["cold"]}
    client = engine.create("true", name="warm", HostConfig=host)
    status, answer = engine.request("POST", f"/containers/{client}/start")
    assert "Cannot link to a non running container: /cold AS /warm/cold" in answer["message"]
    assert status == 500
    remove_containers(engine)


def test_the_doctor_names_who_has_a_port(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        binding = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        host = {"NetworkMode": "bridge", "PortBindings": binding}
        container = engine.create("true", name="web", HostConfig=host)
        try:
            status, answer = engine.request("POST", f"/containers/{container}/start")
            assert status >= 400, answer
            assert "port is already allocated" in str(answer)
            said = doctor(engine, f"port {port}/tcp")
            assert "container web could not start, because it was taken: " in said
            assert f"(process {os.getpid()}) has it" in said
            other.close()
            assert doctor(engine, f"port {port}/tcp").endswith("it is free by now")
        finally:
            engine.request("DELETE", f"/containers/{container}")


def doctor(engine: Engine, about: str) -> str:
    found = engine.request("GET", "/sampan/networks/doctor")[1]
    text: str = next(one["text"] for one in found if one["about"] == about)
    return text


def test_rules_that_somebody_took_away_are_put_back(engine: Engine) -> None:
    host = {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1"}]}}
    container = engine.run("sleep", "1000", HostConfig=host)
    table = engine.paths.nft_table
    nft = Nft()
    try:
        assert "127.0.0.1" in nft.run(f"list map inet {table} published_at")
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        deadline = time.monotonic() + PATIENCE
        while not _has(nft, f"map inet {table} published_at", "127.0.0.1"):
            assert time.monotonic() < deadline, engine.log()
    finally:
        nft.close()
        engine.request("DELETE", f"/containers/{container}?force=1")


def _has(nft: Nft, what: str, text: str) -> bool:
    try:
        return text in nft.run(f"list {what}")
    except Refused:
        return False
