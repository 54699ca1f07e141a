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


WRONG = {
    "ociVersion": lambda c: c.update(ociVersion="2.0.0"),
    "root is missing": lambda c: c.pop("root"),
    "root.path": lambda c: c["root"].update(path="nowhere"),
    "hostname must be": lambda c: c.update(hostname=5),
    "mounts[0].destination": lambda c: c["mounts"][0].pop("destination"),
    "process.cwd": lambda c: c["process"].update(cwd="tmp"),
    "process.args": lambda c: c["process"].update(args=[]),
    "process.env": lambda c: c["process"].update(env=["PATH"]),
    "process.user.uid": lambda c: c["process"]["user"].update(uid=-1),
    "process.rlimits": lambda c: c["process"].update(rlimits=c["process"]["rlimits"] * 2),
    "process.ioPriority": lambda c: c["process"].update(ioPriority={"class": "IOPRIO_CLASS_X"}),
    "mount /x": lambda c: c["mounts"].append({"destination": "/x", "source": "y"}),
    "rootfsPropagation": lambda c: c["linux"].update(rootfsPropagation="odd"),
    "hostname needs": lambda c: c["linux"].update(namespaces=[{"type": "mount"}]),
    "there twice": lambda c: c["linux"]["namespaces"].append({"type": "pid"}),
    "uidMappings": lambda c: c["linux"]["namespaces"].append({"type": "user"}),
    "linux.devices": lambda c: c["linux"].update(devices=[{"path": "/dev/x", "type": "z"}]),
    "vm.swappiness": lambda c: c["linux"].update(sysctl={"vm.swappiness": "1"}),
    "linux.personality": lambda c: c["linux"].update(personality={"domain": "BSD"}),
    "linux.timeOffsets": lambda c: c["linux"].update(timeOffsets={"boottime": {"secs": 1}}),
    "seccomp": lambda c: c["linux"].update(seccomp={"defaultAction": "SCMP_ACT_ODD"}),
    "linux.cgroupsPath": lambda c: c["linux"].update(cgroupsPath="/a\0b"),
    "hooks": lambda c: c.update(hooks={"prestart": [{"path": "true"}]}),
}


@pytest.mark.parametrize("place", WRONG)
def test_create_refuses_what_validate_does_with_the_same_sentence(judge, place, tmp_path):
    document = spec.example()
    document["process"]["terminal"] = False
    WRONG[place](document)
    code, lines = judge(document)
    assert code == 1
    (line,) = [line for line in lines if place in line]
    command = [
        *SAMPAN,
        "--root",
        str(tmp_path / "state"),
        "run",
        "--bundle",
        str(tmp_path),
        "wrong",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, f"{line}\n")
    assert not list((tmp_path / "state").glob("*"))
