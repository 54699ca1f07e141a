"""CDI: devices that a vendor's files describe, by `--device` and `--gpus`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dockerapi.test_build import START, build, packed
from tests.dockerapi.test_containers import output, remove
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

GPU = """
cdiVersion: "0.6.0"
kind: nvidia.com/gpu
containerEdits:
  env: ["ALL=yes"]
devices:
  - name: "0"
    containerEdits:
      env: [GPU=0]
      deviceNodes: [{path: /dev/gpu0, hostPath: /dev/zero, permissions: rw}]
  - name: "1"
    containerEdits:
      env: [GPU=1]
      deviceNodes: [{path: /dev/gpu1, type: c, major: 1, minor: 3, fileMode: 384}]
  - name: all
    containerEdits:
      env: [GPU=all]
"""


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    etc, run = tmp_path_factory.mktemp("etc"), tmp_path_factory.mktemp("run")
    (etc / "gpu.yaml").write_text(GPU)
    (etc / "library").write_text("of the vendor\n")
    hook = {"hookName": "createContainer", "path": "/bin/sh",
            "args": ["sh", "-c", f"cat >{etc}/hooked"]}  # fmt: skip
    mount = {"hostPath": f"{etc}/library", "containerPath": "/usr/lib/vendor", "options": ["ro"]}
    (etc / "net.json").write_text(
        specification("acme.org/net", "a", {"mounts": [mount], "hooks": [hook]})
    )
    (etc / "old.json").write_text(specification("acme.org/fpga", "x", {"env": ["FROM=etc"]}))
    (run / "new.json").write_text(specification("acme.org/fpga", "x", {"env": ["FROM=run"]}))
    for name in ("one", "two"):
        (run / f"{name}.json").write_text(specification("acme.org/twice", "x", {"env": ["A=1"]}))
    (run / "broken.json").write_text('{"cdiVersion": "9.9.9"}')
    return etc, run


def specification(kind: str, name: str, edits: dict[str, Any]) -> str:
    devices = [{"name": name, "containerEdits": edits}]
    return json.dumps({"cdiVersion": "0.6.0", "kind": kind, "devices": devices})


@pytest.fixture(scope="module")
def engine(specs: tuple[Path, Path]) -> Iterator[Engine]:
    with Engine(*(word for place in specs for word in ("--cdi-spec-dirs", str(place)))) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


def cdi(*names: str, **more: Any) -> dict[str, Any]:
    return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": names}], "NetworkMode": "none"}


def gpus(**request: Any) -> dict[str, Any]:
    asked = {"Driver": "", "Capabilities": [["gpu"]], **request}
    return {"DeviceRequests": [asked], "NetworkMode": "none"}


def said(engine: Engine, host: dict[str, Any], script: str) -> list[str]:
    container = engine.run("sh", "-c", script, HostConfig=host)
    assert engine.wait(container) == 0, output(engine, container)
    found = output(engine, container, "stdout=1").decode().split()
    remove(engine, container)
    return found


def test_a_device_brings_nodes_mounts_variables_and_hooks(
    engine: Engine, specs: tuple[Path, Path]
) -> None:
    script = "head -c 3 /dev/gpu0 | wc -c; echo x >/dev/gpu1; stat -c %a /dev/gpu1; echo $ALL $GPU"
    assert said(engine, cdi("nvidia.com/gpu=0", "nvidia.com/gpu=1"), script) == [
        "3", "600", "yes", "1",
    ]  # fmt: skip
    script = "cat /usr/lib/vendor; touch /usr/lib/vendor 2>/dev/null || echo readonly"
    assert said(engine, cdi("acme.org/net=a"), script) == ["of", "the", "vendor", "readonly"]
    assert json.loads((specs[0] / "hooked").read_text())["status"] == "creating"


def test_the_later_directory_precedes(engine: Engine) -> None:
    assert said(engine, cdi("acme.org/fpga=x"), "echo $FROM") == ["run"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"Count": -1}, "all"),
        ({"Count": 1}, "0"),
        ({"DeviceIDs": ["1"]}, "1"),
        ({"DeviceIDs": ["1"], "Driver": "nvidia"}, "1"),
    ],
)
def test_gpus_are_found_by_their_class(
    engine: Engine, request_: dict[str, Any], expected: str
) -> None:
    assert said(engine, gpus(**request_), "echo $GPU") == [expected]


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        (cdi("acme.org/none=x", "b.c/d=e"), "unresolvable CDI devices acme.org/none=x, b.c/d=e"),
        (cdi("acme.org/twice=x"), "two.json have it"),
        (cdi("/dev/null"), "invalid CDI device name '/dev/null'"),
        (gpus(Count=3), "3 devices of nvidia.com/gpu are asked for, and 2 are here"),
        (gpus(Driver="amd"), 'could not select device driver "amd" with capabilities: [[gpu]]'),
        (gpus(Capabilities=[["tpu"]]), "with capabilities: [[tpu]]"),
    ],
)
def test_what_is_not_here_is_named(engine: Engine, host: dict[str, Any], sentence: str) -> None:
    container = engine.create("true", HostConfig=host)
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status >= 400 and sentence in answer["message"]
    remove(engine, container)


def test_info_lists_what_was_found_and_what_is_broken(
    engine: Engine, specs: tuple[Path, Path]
) -> None:
    info = engine.request("GET", "/info")[1]
    assert info["CDISpecDirs"] == [str(place) for place in specs]
    names = [device["ID"] for device in info["DiscoveredDevices"]]
    assert names == [
        "acme.org/fpga=x", "acme.org/net=a",
        "nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all",
    ]  # fmt: skip
    problem = f"CDI: {specs[1]}/broken.json: cdiVersion '9.9.9' is not known"
    assert info["Warnings"] == [problem]


@pytest.mark.parametrize(
    ("flag", "query", "expected"),
    [
        ("acme.org/fpga=x", "allow=device", "FROM=run"),
        ("acme.org/fpga=x,required", "allow=device%3Dacme.org/fpga%3Dx", "FROM=run"),
        ("nvidia.com/gpu", "allow=device", "GPU=0"),
        ("nvidia.com/gpu=*", "allow=device", "GPU=all"),
        ("acme.org/fpga=none", "", '"acme.org/fpga=none" is not registered: the step goes without'),
        ("acme.org/fpga=x", "", "the device acme.org/fpga=x is not allowed: build with --allow"),
        ("acme.org/fpga=x", "allow=device%3Dacme.org/fpga%3Dy", "is not allowed"),
    ],
)
def test_a_step_of_a_build_has_the_devices_that_are_allowed(
    engine: Engine, flag: str, query: str, expected: str
) -> None:
    dockerfile = START + f'RUN --device={flag} ["/bin/busybox", "env"]\n'
    text, messages = build(engine, packed(dockerfile, {}), f"nocache=1&{query}")
    assert expected in text + messages[-1].get("error", "")
