"""Nonsense is refused: whatever a client sends is answered, never with 500, and in time.

Bodies are documents that the API takes, with parts of them replaced by values of other kinds;
queries and paths are any text. What an engine did not foresee shows as 500 and as a traceback in
its log, which the fixture looks for.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

CONTAINER = {
    "Image": "busybox", "Cmd": ["true"], "Entrypoint": None, "Env": ["A=b"], "WorkingDir": "/",
    "User": "0", "Labels": {"a": "b"}, "Tty": False, "OpenStdin": False, "StdinOnce": False,
    "AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "Hostname": "h",
    "Domainname": "", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
    "StopSignal": "TERM", "StopTimeout": 1, "MacAddress": "",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 2},
    "HostConfig": {
        "Binds": ["/tmp:/t:ro"], "NetworkMode": "none", "AutoRemove": False,
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "Memory": 8388608,
        "MemorySwap": -1, "NanoCpus": 100000000, "CpuShares": 2, "CpuPeriod": 0, "CpuQuota": 0,
        "CpusetCpus": "0", "PidsLimit": 100, "BlkioWeight": 0, "OomScoreAdj": 0,
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}], "Privileged": False,
        "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n",
                     "CgroupPermissions": "rwm"}],
        "DeviceRequests": None, "Tmpfs": {"/x": "size=1m"}, "Sysctls": {"net.ipv4.ip_forward": "1"},
        "ShmSize": 1048576, "ReadonlyRootfs": False, "Dns": ["1.1.1.1"], "DnsSearch": ["x"],
        "DnsOptions": ["ndots:1"], "ExtraHosts": ["a:1.2.3.4"], "GroupAdd": ["1"], "Links": [],
        "IpcMode": "private", "PidMode": "", "UTSMode": "", "UsernsMode": "", "CgroupnsMode": "",
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Init": False,
        "Mounts": [{"Type": "volume", "Source": "fuzzed", "Target": "/m", "ReadOnly": True,
                    "VolumeOptions": {"NoCopy": True, "Labels": {}, "Subpath": ""}}],
        "VolumesFrom": [], "StorageOpt": {}, "Runtime": "", "MaskedPaths": ["/proc/kcore"],
        "ConsoleSize": [0, 0], "Annotations": {"a": "b"}, "CgroupParent": "",
    },
    "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"], "IPAMConfig": {}}}},
}  # fmt: skip
NETWORK = {
    "Name": "fuzzed", "Driver": "bridge", "Internal": False, "Attachable": True,
    "EnableIPv6": False, "Labels": {"a": "b"}, "Options": {"com.docker.network.driver.mtu": "1400"},
    "IPAM": {"Driver": "default", "Options": {}, "Config": [
        {"Subnet": "10.213.0.0/24", "Gateway": "10.213.0.1", "IPRange": "10.213.0.128/25",
         "AuxiliaryAddresses": {"a": "10.213.0.5"}}]},
}  # fmt: skip
DOCUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "container": ("/containers/create?name=fuzzed", CONTAINER),
    "network": ("/networks/create", NETWORK),
    "volume": ("/volumes/create", {"Name": "fuzzed", "Driver": "local", "Labels": {"a": "b"},
                                   "DriverOpts": {"type": "tmpfs", "device": "x", "o": "size=1m"}}),
    "exec": ("/containers/{id}/exec", {"Cmd": ["true"], "Env": ["A=b"], "User": "0", "Tty": False,
                                       "AttachStdout": True, "WorkingDir": "/", "DetachKeys": "",
                                       "Privileged": False, "ConsoleSize": [1, 2]}),
    "update": ("/containers/{id}/update", {"Memory": 16777216, "CpuShares": 5, "PidsLimit": 10,
                                           "RestartPolicy": {"Name": "no"}, "NanoCpus": 0}),
    "connect": ("/networks/bridge/connect", {"Container": "nobody", "EndpointConfig": {
        "Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.1"}, "Links": ["a:b"],
        "DriverOpts": {"a": "b"}, "MacAddress": "02:42:ac:11:00:02", "GwPriority": 1}}),
    "auth": ("/auth", {"username": "a", "password": "b", "serveraddress": "127.0.0.1:1"}),
    "commit": ("/commit?container={id}&repo=fuzzed", {"Cmd": ["true"], "Labels": {"a": "b"}}),
}  # fmt: skip

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False),
    st.text(max_size=8), st.sampled_from(["", "/", "../..", "a:b:c:d", "0", "-1", "\0", "☃" * 70]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.text(max_size=3)), max_size=2),
)  # fmt: skip


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a document."""
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    return [path, *(deep for key, value in items for deep in places(value, (*path, key)))]


@st.composite
def spoilt(draw: Any, document: Any) -> Any:
    """The document with one to three of its values replaced."""
    made = [copy.deepcopy(document)]
    for place in draw(st.lists(st.sampled_from(places(document)), min_size=1, max_size=3)):
        inner: Any = made
        try:
            for key in (0, *place)[:-1]:
                inner = inner[key]
            inner[(0, *place)[-1]] = draw(ODD)
        except (KeyError, IndexError, TypeError):
            pass  # an earlier one took the way away
    return made[0]


EXAMPLES = int(os.environ.get("SAMPAN_FUZZ", "40"))  # by hand: thousands
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def resting(engine: Engine) -> Any:
    """A container that is there for requests to name."""
    container = engine.create("true", HostConfig={"NetworkMode": "none"})
    yield container
    engine.request("DELETE", f"/containers/{container}")


@pytest.mark.parametrize("name", DOCUMENTS)
@quick
@given(data=st.data())
def test_a_spoilt_document(engine: Engine, resting: str, name: str, data: st.DataObject) -> None:
    path, document = DOCUMENTS[name]
    body = data.draw(spoilt(document))
    path = path.replace("{id}", resting)
    status, answer = engine.request("POST", path, json.dumps(body).encode())
    assert status != 500, (answer, body)
    if status >= 400:
        assert answer["message"].strip()
    if status == 201:
        if name == "container":
            status, started = engine.request("POST", f"/containers/{answer['Id']}/start")
            known = ("OCI runtime create failed", "unable to find user", "unable to find group")
            assert status != 500 or any(text in started["message"] for text in known), body
        remove(engine, name, answer)


def remove(engine: Engine, name: str, answer: Any) -> None:
    where = {"container": "containers", "network": "networks", "volume": "volumes"}.get(name)
    if where:
        path = f"/{where}/{quote(answer.get('Id') or answer['Name'], safe='')}"
        status, told = engine.request("DELETE", f"{path}?force=1&v=1")
        if name == "container" and status == 409:  # it goes by itself, at its end
            status = engine.request("POST", f"{path}/wait?condition=removed")[0]
        known = (200, 204, 404) if name == "container" else (204,)
        assert status in known, told
    if name == "commit":
        engine.request("DELETE", f"/images/{answer['Id']}?force=1")


QUERIES = {
    "GET /containers/json": ("all", "limit", "size", "filters"),
    "GET /images/json": ("all", "filters", "digests", "shared-size", "manifests"),
    "GET /networks": ("filters",),
    "GET /volumes": ("filters",),
    "GET /events": ("since", "until", "filters"),
    "GET /containers/{id}/logs": ("stdout", "stderr", "since", "until", "tail", "timestamps"),
    "GET /containers/{id}/top": ("ps_args",),
    "GET /containers/{id}/archive": ("path",),
    "GET /containers/{id}/stats": ("one-shot",),
    "GET /images/{id}/json": ("platform", "manifests"),
    "GET /images/search": ("term", "limit", "filters"),
    "GET /images/get": ("names", "platform"),
    "GET /system/df": ("type",),
    "POST /containers/{id}/resize": ("h", "w"),
    "POST /containers/{id}/kill": ("signal",),
    "POST /containers/{id}/stop": ("t", "signal"),
    "POST /containers/{id}/rename": ("name",),
    "POST /images/create": ("fromSrc", "repo", "tag", "changes", "platform"),
    "POST /images/busybox/tag": ("repo", "tag"),
    "POST /containers/prune": ("filters",),
    "POST /networks/prune": ("filters",),
    "POST /volumes/prune": ("filters",),
    "POST /build": ("t", "q", "buildargs", "labels", "memory", "target", "platform", "networkmode",
                    "extrahosts", "shmsize", "ulimits", "cachefrom", "outputs", "version"),
    "DELETE /containers/{id}x": ("v", "force", "link"),
    "DELETE /volumes/{any}": ("force",),
    "PUT /containers/{id}/archive": ("path", "noOverwriteDirNonDir", "copyUIDGID"),
    "HEAD /containers/{id}/archive": ("path",),
    "GET /containers/{any}/json": ("size",),
    "GET /images/{any}/history": ("platform",),
    "GET /distribution/127.0.0.1:1/{any}/json": (),
    "GET /networks/{any}": ("verbose", "scope"),
    "GET /exec/{any}/json": (),
}  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["1", "-1", "1.5", "true", "[]", "{}", '{"a":1}', '{"label":["a=b"]}', "null",
                     '{"since":{"x":true}}', '{"status":["nope"]}', "9" * 30, "../../x", "%00"]),
)  # fmt: skip
ENDLESS = {"GET /events", "GET /containers/{id}/stats"}  # unless they are asked to end


@pytest.mark.parametrize("route", QUERIES)
@quick
@given(data=st.data())
def test_a_query_of_anything(engine: Engine, resting: str, route: str, data: st.DataObject) -> None:
    method, _, path = route.partition(" ")
    segment = quote(data.draw(st.text(min_size=1, max_size=6)), safe="")
    path = path.replace("{id}", resting).replace("{any}", segment)
    wanted = {name: data.draw(st.none() | TEXT) for name in QUERIES[route]}
    if route in ENDLESS:
        wanted |= {"until": "1", "stream": "0"}
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in wanted.items() if v is not None)
    status, answer = engine.request(method, f"{path}?{query}")
    assert status != 500, (path, query, answer)
