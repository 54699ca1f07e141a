"""Networks made by the standard CNI plugins, and by our own that write down what they hear."""

import asyncio
import base64
import json
import os
import shutil

import pytest

from sampan.kit import errors
from sampan.linux import netlink
from sampan.network import cni, cni_config, cni_plugins
from sampan.network.driver import Endpoint, Network

from .conftest import HOST, new_netns, talk

HERE = next((d for d in cni_plugins.DIRECTORIES if os.path.exists(f"{d}/bridge")), "")
standard = pytest.mark.skipif(not HERE, reason="containernetworking-plugins is not installed")
kernel = pytest.mark.needs("netns", "nft")


def network(tmp_path, document: dict) -> Network:
    path = tmp_path / "list.conflist"
    path.write_text(json.dumps(document))
    return Network(id="f" * 64, name="pods", driver="cni", conflist=str(path))


def endpoint(number: int = 1, **changes: object) -> Endpoint:
    return Endpoint(container_id=f"{number:064d}", name=f"c{number}", **changes)


SYSCTL = {"net.core.somaxconn": "99"}


def bridge_list(tmp_path) -> dict:
    ranges = [[{"subnet": "10.78.0.0/24"}]]
    ipam = {"type": "host-local", "dataDir": str(tmp_path / "ipam"), "ranges": ranges}
    bridge = {"type": "bridge", "bridge": "cnitest0", "isDefaultGateway": True, "ipMasq": False}
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {**bridge, "hairpinMode": True, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
            {"type": "tuning", "capabilities": {"mac": True}, "sysctl": SYSCTL},
        ],
    }


@standard
@kernel
@pytest.mark.skipif(not shutil.which("iptables"), reason="portmap needs iptables")
def test_the_standard_plugins_from_add_to_del(own_host, tmp_path):
    async def body(host):
        where = network(tmp_path, bridge_list(tmp_path))
        driver = cni.CniDriver(str(tmp_path / "cache"))
        await driver.ensure(where)
        first, second = new_netns(), new_netns()
        port = (("", 8080, 80, "tcp"),)
        one = await driver.connect(where, endpoint(1, ports=port), first)
        mac = "02:00:00:00:12:34"
        two = await driver.connect(where, endpoint(2, mac=mac), second)
        assert (one.ipv4, one.prefix, two.ipv4, two.mac) == ("10.78.0.2", 24, "10.78.0.3", mac)
        assert talk(second, ("10.78.0.2", 80), first, 80) == "10.78.0.3"
        assert talk(host.outside, (HOST, 8080), first, 80)
        await driver.check(where, endpoint(2), second)
        with netlink.Socket(netns=second) as inside:
            inside.send(netlink.del_link("eth0"))
        with pytest.raises(errors.Unsupported, match="CNI plugin"):
            await driver.check(where, endpoint(2), second)
        await driver.disconnect(where, endpoint(1), -1)  # it has died: only its id is left
        assert "8080" not in host.ruleset()
        await driver.remove(where)  # and what it still knows of
        assert not [n for n in os.listdir(tmp_path / "ipam/pods") if n.startswith("10.")]
        assert os.listdir(tmp_path / "cache/results") == []

    own_host(body)


@standard
@kernel
def test_a_failed_add_leaves_nothing(own_host, tmp_path):
    async def body(host):
        document = bridge_list(tmp_path)
        document["plugins"][2]["sysctl"] = {"net.core.nonsense": "1"}
        where = network(tmp_path, document)
        driver = cni.CniDriver(str(tmp_path / "cache"))
        with pytest.raises(errors.Unsupported, match="CNI plugin tuning, ADD for network pods"):
            await driver.connect(where, endpoint(), new_netns())
        assert not [n for n in os.listdir(tmp_path / "ipam/pods") if n.startswith("10.")]
        assert "cache" not in os.listdir(tmp_path)

    own_host(body)


PLUGIN = """#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $input" >> {log}
[ "$CNI_COMMAND" = ADD ] || exit 0
echo '{{"cniVersion":"1.1.0","ips":[{{"address":"10.9.0.{number}/16"}}]}}'
"""


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Two plugins of our own, `one` and `two`; what they were told, as (verb, id, config)."""
    (tmp_path / "bin").mkdir()
    log = tmp_path / "log"
    for number, name in enumerate(("one", "two"), 1):
        plugin = tmp_path / "bin" / name
        plugin.write_text(PLUGIN.format(log=log, number=number))
        plugin.chmod(0o755)
    monkeypatch.setattr(cni_plugins, "DIRECTORIES", (str(tmp_path / "bin"),))

    def read() -> list[tuple[str, str, dict]]:
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        parts = [line.split(" ", 3) for line in lines]
        return [(p[0], p[1], json.loads(p[3])) for p in parts]

    return read


def two_plugins(**more: object) -> dict:
    plugins = [{"type": "one"}, {"type": "two", "capabilities": {"portMappings": True}}]
    return {"cniVersion": "1.1.0", "name": "pods", "plugins": plugins, **more}


@kernel
def test_what_plugins_are_told(own_host, tmp_path, recorded):
    async def body(_host):
        where = network(tmp_path, two_plugins())
        driver = cni.CniDriver(str(tmp_path / "cache"))
        await driver.ensure(where)
        assert [(verb, c["type"]) for verb, _, c in recorded()] == [
            ("STATUS", "one"),
            ("STATUS", "two"),
        ]
        ports = (("127.0.0.1", 8080, 80, "tcp"),)
        made = await driver.connect(where, endpoint(7, ports=ports), new_netns())
        assert (made.ipv4, made.prefix) == ("10.9.0.2", 16)
        (_, _, first), (_, _, second) = recorded()
        assert "prevResult" not in first
        assert "runtimeConfig" not in first
        assert second["prevResult"]["ips"] == [{"address": "10.9.0.1/16"}]
        mapping = {"hostIP": "127.0.0.1", "hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
        assert second["runtimeConfig"] == {"portMappings": [mapping]}
        assert (second["name"], second["cniVersion"]) == ("pods", "1.1.0")

        (name,) = os.listdir(tmp_path / "cache/results")
        assert name == f"pods-{7:064d}-eth0"
        kept = json.loads((tmp_path / "cache/results" / name).read_text())
        assert (kept["kind"], kept["networkName"], kept["ifName"]) == ("cniCacheV1", "pods", "eth0")
        assert json.loads(base64.b64decode(kept["config"])) == two_plugins()

        # the file changes: DEL undoes what ADD did, from the last plugin to the first
        network(tmp_path, {**two_plugins(), "plugins": [{"type": "one", "new": True}]})
        await driver.disconnect(where, endpoint(7), -1)
        deleted = recorded()
        assert [(v, c["type"]) for v, _, c in deleted] == [("DEL", "two"), ("DEL", "one")]
        assert deleted[0][2]["prevResult"]["ips"] == [{"address": "10.9.0.2/16"}]
        assert deleted[0][2]["runtimeConfig"] == {"portMappings": [mapping]}
        await driver.disconnect(where, endpoint(7), -1)
        assert recorded() == []

    own_host(body)


@kernel
def test_garbage_is_what_no_container_has(own_host, tmp_path, recorded):
    async def body(_host):
        where = network(tmp_path, two_plugins())
        driver = cni.CniDriver(str(tmp_path / "cache"))
        for number in (1, 2):
            await driver.connect(where, endpoint(number), new_netns())
        recorded()
        await cni.CniDriver(str(tmp_path / "cache")).collect(where, {(f"{2:064d}", "eth0")})
        told = recorded()
        assert [(v, i) for v, i, _ in told[:2]] == [("DEL", f"{1:064d}")] * 2
        valid = [{"containerID": f"{2:064d}", "ifname": "eth0"}]
        assert [(v, c["cni.dev/valid-attachments"]) for v, _, c in told[2:]] == [("GC", valid)] * 2

    own_host(body)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"plugins":[{"type":"x"}],"cniVersion":"1.0.0"}', "no usable name"),
        ('{"name":"a/b","plugins":[],"cniVersion":"1.0.0"}', "no usable name"),
        ('{"name":"n","cniVersion":"1.0.0","plugins":[]}', "names no plugins"),
        ('{"name":"n","cniVersion":"1.0.0","plugins":[{}]}', "plugin without a type"),
        ('{"name":"n","cniVersion":"1.0.0","type":"../x"}', "plugin without a type"),
        ('{"name":"n","type":"x"}', "cniVersion 0.2.0"),
        ('{"name":"n","cniVersion":"one","type":"x"}', "cniVersion one"),
    ],
)
def test_bad_lists_are_named(text, said):
    with pytest.raises(errors.InvalidArgument, match=said) as raised:
        cni_config.parse(text, "/etc/x.conflist")
    assert "/etc/x.conflist" in str(raised.value)


def test_a_plugin_that_is_not_there(tmp_path, recorded):
    where = network(tmp_path, {"name": "n", "cniVersion": "1.0.0", "type": "absent"})
    with pytest.raises(errors.InvalidArgument, match="no CNI plugin absent in"):
        asyncio.run(cni.CniDriver(str(tmp_path)).ensure(where))
