"""Containers on pure cgroup v2, in a mount namespace where nothing but v2 is mounted."""

import os
import subprocess

import pytest

from sampan.linux.mount import MNT, mount, umount
from tests.conformance.test_oci_runtime import SAMPAN, Runtime
from tests.runtime.test_rootless import USER, rootless

assert rootless  # the fixture
pytestmark = pytest.mark.needs("mount", "userns")
CGROUP = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}


@pytest.fixture
def on_v2(own_mounts):
    def run(body):
        def there():
            if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
                umount("/sys/fs/cgroup", MNT.DETACH)
                mount("none", "/sys/fs/cgroup", "cgroup2")
            body()

        own_mounts(there)

    return run


@pytest.fixture
def mapped(tmp_path):
    """A container with a user and a cgroup namespace that sees its cgroup."""
    made = Runtime(SAMPAN, tmp_path, "sampan-oci")
    made.config["mounts"] += [{"destination": "/sys", "type": "tmpfs", "source": "t"}, CGROUP]
    linux = made.config["linux"]
    linux["namespaces"] += [{"type": "user"}, {"type": "cgroup"}]
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    linux.update(uidMappings=mapping, gidMappings=mapping)
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


INSIDE = (
    "cd /sys/fs/cgroup && busybox mkdir sub && echo 0 >sub/cgroup.procs && cat /proc/self/cgroup"
)


def test_a_writable_cgroup_belongs_to_the_container_s_root(mapped, on_v2):
    def body():
        done = mapped.run("sh", "-c", INSIDE)
        assert done.stderr == ""
        assert "0::/sub" in done.stdout.splitlines()

    on_v2(body)


def test_only_what_the_kernel_delegates_is_given(mapped, on_v2):
    mapped.config["linux"]["resources"]["unified"] = {}

    def body():
        script = "cd /sys/fs/cgroup; echo 1 >cgroup.max.descendants"
        assert "Permission denied" in mapped.run("sh", "-c", script).stderr

    on_v2(body)


def test_a_read_only_cgroup_stays_the_host_s(mapped, on_v2):
    mapped.config["mounts"][-1] = {**CGROUP, "options": ["ro"]}

    def body():
        container = mapped.create("sleep", "100")
        owner = os.stat(f"/sys/fs/cgroup/{container}").st_uid
        mapped("delete", "--force", container)
        assert owner == 0

    on_v2(body)


@pytest.mark.needs("users-python")
def test_a_user_uses_the_cgroup_that_was_delegated(rootless, on_v2):
    def body():
        above = f"/sys/fs/cgroup/smp-delegated-{os.getpid()}"
        os.makedirs(f"{above}/own")
        try:
            for path in (above, f"{above}/cgroup.procs", f"{above}/cgroup.subtree_control"):
                os.chown(path, USER, USER)
            with open(f"{above}/own/cgroup.procs", "w") as file:
                file.write("0")
            os.chown(f"{above}/own/cgroup.procs", USER, USER)
            rootless.config["process"]["args"] = ["sleep", "100"]
            container = rootless.id("delegated")
            rootless.write()
            made = f"{above}/{container}"
            subprocess.run(  # not through pipes: the container would hold them open
                [*rootless.command, "run", "--detach", container],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=rootless.bundle,
                user=USER,
                group=USER,
                extra_groups=[],
                check=True,
            )
            with open(f"{made}/cgroup.procs") as file:
                assert len(file.read().split()) == 1
            rootless("pause", container)
            assert '"status": "paused"' in rootless("state", container).stdout
            rootless("delete", "--force", container)
            assert not os.path.exists(made)
        finally:
            with open("/sys/fs/cgroup/cgroup.procs", "w") as file:
                file.write("0")
            for path in (f"{above}/own", above):
                os.rmdir(path)

    on_v2(body)
