"""What `sampan-oci` says and does beyond the conformance suite, from outside."""

import os

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
    oci.config["process"]["cwd"] = "/"
    (oci.rootfs / "bin/script").write_text("#!/not/there\n")
    (oci.rootfs / "bin/script").chmod(0o755)
    assert oci.run("script").stderr == "exec /bin/script: no such file or directory\n"


def test_dry_run_says_every_step_and_takes_none(oci):
    oci.config["hostname"] = "dry"
    oci.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    oci.config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    oci.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    oci.config["hooks"] = {"createRuntime": [{"path": "/bin/touch", "args": ["touch", "/x"]}]}
    oci.config["process"].update(args=["sh", "-c", "a b"], cwd="/tmp", noNewPrivileges=True)
    container = oci.id("dry")
    oci.write()
    before = sorted(oci.bundle.rglob("*"))
    lines = oci("run", "--dry-run", container).stdout.splitlines()
    assert oci("create", "--dry-run", container).stdout.splitlines() == lines
    expected = (
        f"make the state directory {oci.command[-1]}/{container}",
        "cgroup: deny rwm of device a *:*",
        "cgroup: set memory.limit to 67108864",
        "clone into new namespaces: ipc, uts, network, pid, mount",
        "set the hostname to dry",
        "write 1 to /proc/sys/net/ipv4/ip_forward",
        "mount proc proc on /proc",
        "mount tmpfs tmpfs on /dev with nosuid,mode=755,size=64k",
        "make the device /dev/null: c 1:3, mode 0666",
        'run the createRuntime hook ["touch","/x"]',
        "make /proc/sys read-only",
        "cover /proc/kcore",
        "pivot to the root",
        "go to /tmp",
        "become user 0, group 0",
        "have ambient capabilities: none",
        "give up new privileges",
        'execute ["sh","-c","a b"]',
    )
    places = [lines.index(line) for line in expected]
    assert places == sorted(places)
    assert any(line.startswith("load a seccomp filter of ") for line in lines)
    assert sorted(oci.bundle.rglob("*")) == before
    assert not list(oci.bundle.parent.glob("state*"))
    cgroups = [line.split()[-1] for line in lines if line.startswith("make the cgroup ")]
    assert cgroups
    assert not [path for path in cgroups if os.path.exists(path)]


def test_dry_run_refuses_what_create_refuses(oci):
    oci.config["process"]["cwd"] = "relative"
    container = oci.id("dry")
    oci.write()
    done = oci("create", "--dry-run", container, fails=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "process.cwd must be an absolute path" in done.stderr


def test_without_a_cgroup_it_stays_where_its_caller_is(oci):
    oci.command += ["--cgroup-manager", "disabled"]
    with open("/proc/self/cgroup") as file:
        own = file.read()
    assert oci.run("cat", "/proc/self/cgroup").stdout == own
    container = oci.create("sleep", "100")
    oci("start", container)
    refused = oci("pause", container, fails=True)
    assert "has no cgroup of its own" in refused.stderr
    oci("delete", "--force", container)
    oci.config["linux"]["resources"]["pids"] = {"limit": 5}
    done = oci.run("true")
    assert done.returncode == 1
    assert "linux.resources: pids: the container has no cgroup" in done.stderr


@pytest.mark.parametrize(("value", "groups"), [("1", "0 4242"), ("0", "0 7"), (None, "0 7")])
def test_keep_original_groups(oci, value, groups):
    oci.config["process"]["user"]["additionalGids"] = [7]
    if value:
        oci.config["annotations"] = {"run.oci.keep_original_groups": value}
    before = os.getgroups()
    os.setgroups([4242])
    try:
        done = oci.run("id", "-G")
        assert (done.stderr, done.stdout.strip()) == ("", groups)
        container = oci.create("sleep", "100")
        oci("start", container)
        assert oci("exec", container, "id", "-G").stdout.strip() == groups
    finally:
        os.setgroups(before)


ABSENT = [
    (
        {"mountLabel": "system_u:object_r:container_file_t:s0:c1,c2"},
        "/sys/fs/selinux/enforce",
        "linux.mountLabel is set, but SELinux is disabled",
    ),
    (
        {"intelRdt": {"closID": "x", "schemata": ["L3:0=ff"]}},
        "/sys/fs/resctrl/schemata",
        "linux.intelRdt is set, but resctrl is not mounted",
    ),
]


@pytest.mark.parametrize(("fields", "file", "sentence"), ABSENT)
def test_what_this_kernel_lacks_is_refused(oci, fields, file, sentence):
    if os.path.exists(file):
        pytest.skip("this host has it")
    oci.config["linux"].update(fields)
    done = oci.run("true")
    assert done.returncode == 1
    assert sentence in done.stderr
