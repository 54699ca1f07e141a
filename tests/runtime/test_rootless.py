"""`sampan-oci` run by an ordinary user."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from tests.conformance.test_oci_runtime import Runtime
from tests.runtime.security import harness

USER = 54321  # nobody's, and in no /etc/subuid
pytestmark = pytest.mark.needs("userns", "users-python")


class Rootless(Runtime):
    def __init__(self, directory):
        source = harness.copy_of_source(directory / "source", ())
        super().__init__(harness.command(source), directory, "rootless")
        linux = self.config["linux"]
        del linux["resources"]
        linux["namespaces"] += [{"type": "user"}]
        mapping = [{"containerID": 0, "hostID": USER, "size": 1}]
        linux.update(uidMappings=mapping, gidMappings=mapping)
        for mount in self.config["mounts"]:
            if mount["destination"] == "/dev/pts":
                mount["options"] = [o for o in mount["options"] if not o.startswith("gid=")]

    def __call__(self, *arguments, fails=False):
        done = subprocess.run(
            [*self.command, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.bundle,
            timeout=30,
            user=USER,
            group=USER,
            extra_groups=[],
        )
        assert fails or done.returncode == 0, done.stderr
        return done

    def id(self, name):
        made = super().id(name)
        self.config["linux"].pop("cgroupsPath")
        return made


@pytest.fixture
def rootless():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="smp-rootless-"))
    directory.chmod(0o755)
    made = Rootless(directory)
    for path in (directory, *directory.rglob("*")):
        if "source" not in path.parts:
            os.chown(path, USER, USER, follow_symlinks=False)
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)
    shutil.rmtree(directory)


def test_it_is_root_inside_and_the_user_outside(rootless):
    done = rootless.run("sh", "-c", "id -u; cat /proc/self/uid_map; echo x >/tmp/made; echo $?")
    assert done.stderr == ""
    assert done.stdout.split() == ["0", "0", str(USER), "1", "0"]
    assert (rootless.rootfs / "tmp/made").stat().st_uid == USER


def test_lifecycle(rootless):
    rootless.config["process"]["args"] = ["sleep", "100"]
    container = rootless.id("life")
    rootless.write()
    rootless.config["linux"].pop("seccomp", None)
    subprocess.run(
        [*rootless.command, "create", container],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=rootless.bundle,
        user=USER,
        group=USER,
        extra_groups=[],
        check=True,
    )
    assert json.loads(rootless("state", container).stdout)["status"] == "created"
    rootless("start", container)
    assert rootless("exec", container, "id", "-u").stdout == "0\n"
    rootless("kill", container, "KILL")
    rootless.wait_for(container, "stopped")
    rootless("delete", container)
    assert rootless("state", container, fails=True).returncode == 1


def test_a_filter_is_loaded(rootless):
    rootless.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    rootless.config["process"]["noNewPrivileges"] = True
    done = rootless.run("/bin/busybox", "mkdir", "/tmp/new")
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda c: c["linux"]["namespaces"].pop(),
            "rootless containers need a user namespace",
        ),
        (lambda c: c["linux"].pop("gidMappings"), "linux.gidMappings"),
        (
            lambda c: c["mounts"].append(
                {
                    "destination": "/tmp",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["gid=5"],
                }
            ),
            "gid=5: this id is not mapped",
        ),
        (
            lambda c: c["process"]["user"].update(additionalGids=[10]),
            "process.user.additionalGids",
        ),
        (
            lambda c: c["linux"].update(resources={"memory": {"limit": 1 << 26}}),
            "linux.resources: memory: the container has no cgroup: none was delegated",
        ),
        (
            lambda c: c["linux"].update(
                uidMappings=[{"containerID": 0, "hostID": 100000, "size": 1}]
            ),
            "linux.uidMappings",
        ),
    ],
)
def test_what_a_user_cannot_have_is_refused(rootless, change, words):
    change(rootless.config)
    done = rootless.run("true")
    assert done.returncode == 1
    assert words in done.stderr
    assert os.listdir(rootless.bundle.parent / "state") == []


@pytest.mark.needs("newuidmap")
def test_more_ids_come_from_newuidmap(rootless):
    """With /etc/subuid of its own, in a mount namespace of its own."""
    files = {
        "passwd": f"smp:x:{USER}:{USER}::/:/bin/sh\n",
        "subuid": "smp:700000:65536\n",
        "subgid": "smp:700000:65536\n",
    }
    script = ""
    for name, text in files.items():
        (rootless.bundle / name).write_text(text)
        script += f"mount --bind {rootless.bundle}/{name} /etc/{name} && "
    mapping = [
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": 700000, "size": 65536},
    ]
    rootless.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    rootless.config["process"].update(args=["id"], user={"uid": 5, "gid": 6})
    container = rootless.id("many")
    rootless.write()
    ids = ["--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    done = subprocess.run(
        [
            *("unshare", "-m", "sh", "-c", script + 'exec "$@"', "sh"),
            *("setpriv", *ids, *rootless.command, "run", container),
        ],
        capture_output=True,
        text=True,
        cwd=rootless.bundle,
    )
    assert done.stdout == "uid=5 gid=6\n", done.stderr


def test_newuidmap_s_refusal_is_passed_on(rootless):
    mapping = [{"containerID": 0, "hostID": 700000, "size": 10}]
    rootless.config["linux"].update(uidMappings=mapping)
    done = rootless.run("true")
    assert done.returncode == 1
    assert "linux.uidMappings: newuidmap" in done.stderr


@pytest.fixture
def delegated():
    """A cgroup that is the user's, with a place for the caller in it (cgroups(7), delegation)."""
    top = pathlib.Path(f"/sys/fs/cgroup/smp-delegated-{os.getpid()}")
    top.mkdir()
    (top / "caller").mkdir()
    (top.parent / "cgroup.subtree_control").write_text("+pids +memory")
    for place in (top, top / "caller"):
        for name in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(place / name, USER, USER)
    yield top
    for directory in (*top.iterdir(), top):
        if directory.is_dir():
            directory.rmdir()


@pytest.mark.needs("cgroup2")
def test_limits_in_a_delegated_cgroup(rootless, delegated):
    enter = ["sh", "-c", f'echo $$ >{delegated}/caller/cgroup.procs && exec "$@"', "sh"]
    user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]

    def call(*arguments):
        done = subprocess.run(
            [*enter, *user, *rootless.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=rootless.bundle,
        )
        log.seek(0)
        assert done.returncode == 0, log.read()

    container = rootless.id("limits")
    rootless.config["process"]["args"] = ["sleep", "100"]
    rootless.config["linux"].update(
        cgroupsPath=f"/{delegated.name}/inner",
        resources={"pids": {"limit": 20}, "memory": {"limit": 64 << 20}},
    )
    rootless.write()
    with open(rootless.bundle / "log", "w+") as log:
        call("run", "--detach", container)
        assert (delegated / "inner/pids.max").read_text() == "20\n"
        assert (delegated / "inner/memory.max").read_text() == f"{64 << 20}\n"
        assert (delegated / "inner/cgroup.procs").read_text().split()
        call("update", "--pids-limit", "30", container)
        assert (delegated / "inner/pids.max").read_text() == "30\n"
        call("pause", container)
        assert "frozen 1" in (delegated / "inner/cgroup.events").read_text()
        call("resume", container)
        call("exec", container, "true")
        call("delete", "--force", container)
    assert not (delegated / "inner").exists()
