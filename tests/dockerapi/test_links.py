"""Legacy links while their targets come and go."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.dockerapi.test_networks import remove_containers
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount", "netns", "nft")
BRIDGE = {"NetworkMode": "bridge"}


def content(engine: Engine, container: str, path: str) -> str:
    body = engine.request("GET", f"/containers/{container}/archive?path={path}")[1]
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        return file.read().decode()


def address(engine: Engine, container: str) -> str:
    return str(engine.inspect(container)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])


def test_a_link_follows_its_target_to_another_address(engine: Engine) -> None:
    target = engine.run("sleep", "60", name="moving", HostConfig=dict(BRIDGE))
    client = engine.run("sleep", "60", HostConfig={**BRIDGE, "Links": ["moving:it"]})
    before = address(engine, target)
    assert f"{before}\tit " in content(engine, client, "/etc/hosts")
    assert engine.request("POST", f"/containers/{target}/kill")[0] == 204
    engine.wait(target)
    engine.run("sleep", "60", HostConfig={**BRIDGE})
    assert engine.request("POST", f"/containers/{target}/start")[0] == 204
    after = address(engine, target)
    assert after != before
    assert f"{after}\tit " in content(engine, client, "/etc/hosts")
    remove_containers(engine)


def test_an_exec_has_the_variables_of_links(engine: Engine) -> None:
    ports = {"80/tcp": {}}
    engine.run("sleep", "60", name="shared", HostConfig=dict(BRIDGE), ExposedPorts=ports)
    client = engine.run("sleep", "60", HostConfig={**BRIDGE, "Links": ["shared:it"]})
    made = {"Cmd": ["sh", "-c", "env > /tmp/env"], "AttachStdout": True}
    exec_id = engine.request("POST", f"/containers/{client}/exec", made)[1]["Id"]
    engine.request("POST", f"/exec/{exec_id}/start", {})
    assert "IT_PORT_80_TCP_PORT=80" in content(engine, client, "/tmp/env")
    remove_containers(engine)
