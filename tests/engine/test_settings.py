"""The engine's settings: the file, the command line, and sentences for what is wrong."""

from __future__ import annotations

import json

import pytest

from sampan.cli import sampand_options
from sampan.engine import cgroups, settings
from sampan.linux import cgroup
from sampan.linux.cgroup import host


def written(tmp_path, document: object) -> str:
    path = tmp_path / "sampand.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_file_and_command_line_together(tmp_path) -> None:
    path = written(tmp_path, {"log-driver": "local", "dns": ["10.0.0.53"], "debug": True})
    options = sampand_options.parse(
        ["--config-file", path, "-H", "tcp://127.0.0.1:1", "--host", "fd://",
         "--log-opt", "max-size=5m", "--ip", "127.0.0.1"]
    )  # fmt: skip
    found = options.settings()
    assert found["hosts"] == ["tcp://127.0.0.1:1", "fd://"]
    assert (found["log-driver"], found["log-opts"]) == ("local", {"max-size": "5m"})
    assert (found["dns"], found["debug"], found["ip"]) == (["10.0.0.53"], True, "127.0.0.1")
    assert (found["labels"], found["runtimes"], found["default-runtime"]) == ([], {}, "sampan")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"log-drivr": "x"}, "there is no setting 'log-drivr'"),
        ({"debug": "yes"}, 'debug must be true or false, not "yes"'),
        ({"hosts": "tcp://x"}, "hosts must be a list"),
        ({"ip": "here"}, "ip: 'here' is not an address"),
        ({"dns": ["ns"]}, "dns: 'ns' is not an address"),
        ({"bip": "10.0.0.0/24"}, "bip: 10.0.0.0/24 is a subnet; name an address in it"),
        ({"log-driver": "nosuch"}, "no log driver named 'nosuch'"),
        ({"log-opts": {"max-sise": "1"}}, "unknown log opt 'max-sise' for json-file"),
        ({"default-runtime": "nobodys"}, "there is no runtime nobodys"),
        ({"runtimes": {"crun": {}}}, "runtimes.crun: it needs the path of a program"),
        ({"default-address-pools": [{"base": "10.0.0.0/24", "size": 16}]}, "no /16 fits into"),
        ({"default-address-pools": [{"size": 16}]}, "default-address-pools: {'size': 16}"),
        ({"default-cgroupns-mode": "x"}, "default-cgroupns-mode must be private or host"),
        ({"log-format": "xml"}, "log-format must be text or json"),
        ({"log-level": "loud"}, "log-level must be debug, info, warn, error or fatal"),
        ({"exec-opts": ["native.umask=x"]}, "'native.umask=x' is not native.cgroupdriver=DRIVER"),
        ({"exec-opts": ["native.cgroupdriver=x"]}, "native.cgroupdriver is cgroupfs or systemd"),
        (
            {"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "/own"},
            "cgroup-parent for systemd cgroup should be a valid slice named as",
        ),
        ("{", "sampand.json: Expecting property name"),
        ("[]", "it must be a JSON object"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, document, message: str) -> None:
    with pytest.raises(settings.errors.InvalidArgument) as caught:
        settings.load(written(tmp_path, document), {})
    assert message in str(caught.value)


def test_a_setting_is_not_given_twice(tmp_path) -> None:
    path = written(tmp_path, {"ip": "127.0.0.1"})
    with pytest.raises(settings.BadSetting, match="ip is given both on the command line and in"):
        settings.load(path, {"ip": "::1"})


def test_systemds_driver_needs_systemd() -> None:
    asked = settings.Settings({"exec-opts": ["native.cgroupdriver=systemd"]})
    if host.booted_by_systemd():
        assert cgroups.choose(asked) == "systemd"
    else:
        with pytest.raises(settings.errors.InvalidArgument, match="systemd is not PID 1 here"):
            cgroups.choose(asked)
    on_its_own = host.booted_by_systemd() and cgroup.unified()
    assert cgroups.choose(settings.Settings()) == ("systemd" if on_its_own else "cgroupfs")
    asked = settings.Settings({"exec-opts": ["native.cgroupdriver=cgroupfs"]})
    assert cgroups.choose(asked) == "cgroupfs"


def test_a_file_that_was_named_must_be_there(tmp_path) -> None:
    assert settings.load(str(tmp_path / "none"), {})["debug"] is False
    with pytest.raises(settings.BadSetting, match="none does not exist"):
        settings.load(str(tmp_path / "none"), {}, must_exist=True)
