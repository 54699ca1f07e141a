"""`sampan-oci validate`: every problem, with its place in config.json."""

import json
import subprocess

import pytest

from sampan.runtime import spec
from tests.conformance.test_oci_runtime import SAMPAN


@pytest.fixture
def judge(tmp_path):
    (tmp_path / "rootfs").mkdir()

    def run(document):
        (tmp_path / "config.json").write_text(json.dumps(document))
        command = [*SAMPAN, "validate", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert not done.stderr
        return done.returncode, done.stdout.splitlines()

    return run


def test_what_spec_writes_is_right(judge):
    assert judge(spec.example()) == (0, [])


def test_all_wrong_types_are_listed(judge):
    document = spec.example()
    document["hostname"] = 5
    document["process"]["user"]["uid"] = "root"
    document["mounts"][1].pop("destination")
    code, lines = judge(document)
    assert code == 1
    assert [line.split()[0] for line in lines] == [
        "process.user.uid",
        "hostname",
        "mounts[1].destination",
    ]


def test_problems_of_several_areas_are_listed(judge):
    document = spec.example()
    document["ociVersion"] = "2.0.0"
    document["root"]["path"] = "nowhere"
    document["process"]["cwd"] = "tmp"
    document["process"]["rlimits"] *= 2
    document["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 9}
    document["linux"]["namespaces"].append({"type": "pid"})
    document["linux"]["sysctl"] = {"kernel.panic": "1", "vm.swappiness": "1"}
    document["linux"]["netDevices"] = {"a/b": {}}
    code, lines = judge(document)
    assert code == 1
    wanted = (
        *("ociVersion", "root.path", "process.cwd", "process.rlimits", "process.ioPriority"),
        *("linux.namespaces", "kernel.panic", "vm.swappiness", "linux.netDevices"),
    )
    assert len(lines) == len(wanted), lines
    assert all(word in line for word, line in zip(wanted, lines, strict=True)), lines


def test_features_tell_what_callers_ask_for():
    done = subprocess.run([*SAMPAN, "features"], capture_output=True, text=True, timeout=30)
    shown = json.loads(done.stdout)
    assert shown["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "true"
    assert "org.systemd.property." in shown["potentiallyUnsafeConfigAnnotations"]
