"""Networks on which the host has no address, and names that are another network's id."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.dockerapi.test_networks import network, on
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount", "netns", "nft")
BRIDGE = "com.docker.network.bridge"


@pytest.mark.parametrize(
    "options",
    [{f"{BRIDGE}.inhibit_ipv4": "true"}, {f"{BRIDGE}.gateway_mode_ipv4": "isolated"}],
)
def test_two_containers_fill_a_network_of_two_addresses(
    engine: Engine, options: dict[str, str]
) -> None:
    body: dict[str, Any] = {
        "Internal": True,
        "Options": options,
        "IPAM": {"Config": [{"Subnet": "10.213.7.0/31"}]},
    }
    with network(engine, "two", **body):
        engine.run("sleep", "60", name="there", **on("two"))
        pinging = engine.run("ping", "-c1", "-W3", "there", **on("two"))
        assert engine.wait(pinging) == 0


def test_a_bridge_keeps_no_address_that_is_inhibited(engine: Engine) -> None:
    body: dict[str, Any] = {
        "Options": {f"{BRIDGE}.inhibit_ipv4": "true", f"{BRIDGE}.name": "smp-inhibited"},
        "IPAM": {"Config": [{"Subnet": "10.213.8.0/24", "Gateway": "10.213.8.254"}]},
    }
    with network(engine, "silent", **body), open("/proc/net/fib_trie") as file:
        assert "10.213.8.254" not in file.read()
        container = engine.create("true", **on("silent"))
        engine.request("POST", f"/containers/{container}/start")
        engine.wait(container)


def test_both_families_may_be_isolated(engine: Engine) -> None:
    body: dict[str, Any] = {
        "Internal": True,
        "EnableIPv6": True,
        "Options": {
            f"{BRIDGE}.name": "smp-alone",
            **{f"{BRIDGE}.gateway_mode_ipv{n}": "isolated" for n in "46"},
        },
    }
    with network(engine, "alone", **body):
        engine.run("sleep", "60", name="there", **on("alone"))
        for family in ("-4", "-6"):
            pinging = engine.run("ping", family, "-c1", "-W3", "there", **on("alone"))
            assert engine.wait(pinging) == 0
        with open("/proc/net/if_inet6") as file:  # not even a link-local one
            assert "smp-alone" not in file.read()


def test_an_id_counts_before_a_name(engine: Engine) -> None:
    first = engine.request("POST", "/networks/create", {"Name": "first"})[1]["Id"]
    second = engine.request("POST", "/networks/create", {"Name": first})[1]["Id"]
    assert engine.request("GET", f"/networks/{first}")[1]["Name"] == "first"
    assert engine.request("DELETE", f"/networks/{first}")[0] == 204
    left = {found["Id"] for found in engine.request("GET", "/networks/")[1]}
    assert (first in left, second in left) == (False, True)
    assert engine.request("DELETE", f"/networks/{first}")[0] == 204  # by its name now


def test_an_internal_network_publishes_nothing(engine: Engine) -> None:
    with network(engine, "inner", Internal=True):
        ports = {"80/tcp": [{"HostPort": ""}]}
        container = engine.run("sleep", "60", **on("inner", PortBindings=ports))
        shown = engine.inspect(container)["NetworkSettings"]["Ports"]["80/tcp"]
        for address in ("127.0.0.1", "::1"):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, int(shown[0]["HostPort"])), 5)
