"""What `sampan-oci` says and does beyond the conformance suite, from outside."""

import pytest

from tests.conformance.test_oci_runtime import SAMPAN, Runtime

pytestmark = pytest.mark.needs("mount")


@pytest.fixture
def oci(tmp_path):
    made = Runtime(SAMPAN, tmp_path, "sampan-oci")
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


@pytest.mark.parametrize(
    ("flags", "number"),
    [
        (None, 4),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"], 2),
    ],
)
def test_debug_tells_the_flags_of_the_filter(oci, flags, number):
    oci.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    if flags is not None:
        oci.config["linux"]["seccomp"]["flags"] = flags
    container = oci.id("flags")
    oci.write()
    done = oci("--debug", "run", container)
    assert f'"seccomp filter flags: {number}"' in done.stderr


def test_an_error_inside_names_the_stage_it_came_from(oci):
    missing = {"destination": "/x", "type": "no-such-fs", "source": "none"}
    oci.config["mounts"].append(missing)
    stage = "failed: unable to start container process: error during container init: "
    done = oci.run("true")
    assert f"run {stage}error mounting" in done.stderr
    oci.config["mounts"].remove(missing)
    oci.config["process"]["cwd"] = "relative"
    done = oci.run("true")
    assert "process.cwd must be an absolute path" in done.stderr
    assert stage not in done.stderr
