"""An OCI runtime from outside; runc passes the same tests, so they are known to be right."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

SOURCE = os.path.join(os.path.dirname(__file__), "..", "..", "src")
SAMPAN = [
    os.path.realpath(sys.executable),
    "-ISc",
    f"import sys; sys.path.insert(0, {SOURCE!r})\n"
    "from sampan.cli.sampan_oci import main; sys.exit(main())",
]
PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
DEV = {
    "destination": "/dev",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "mode=755", "size=64k"],
}
PTS = {
    "destination": "/dev/pts",
    "type": "devpts",
    "source": "devpts",
    "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
}
CAPS = ["CAP_KILL", "CAP_CHOWN"]
BASE = {
    "ociVersion": "1.0.2",
    "process": {
        "args": ["true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "user": {"uid": 0, "gid": 0},
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPS),
    },
    "root": {"path": "rootfs"},
    "mounts": [PROC, DEV, PTS],
    "linux": {
        "namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": ["/proc/kcore", "/proc/scsi", "/proc/acpi", "/proc/not-there"],
        "readonlyPaths": ["/proc/sys"],
    },
}


class Runtime:
    def __init__(self, command, directory, name):
        self.command, self.name = [*command, "--root", str(directory / "state")], name
        self.bundle = directory / "bundle"
        rootfs = self.bundle / "rootfs"
        for path in ("bin", "proc", "dev", "etc", "tmp", "sys"):
            (rootfs / path).mkdir(parents=True)
        shutil.copy("/usr/bin/busybox", rootfs / "bin/busybox")
        for tool in ("sh", "true", "cat", "sleep", "id", "ls", "hostname", "mount", "tty", "touch"):
            (rootfs / "bin" / tool).symlink_to("busybox")
        self.rootfs, self.config, self.made = rootfs, copy.deepcopy(BASE), set()

    def __call__(self, *arguments, fails=False):
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, cwd=self.bundle, timeout=30
        )
        if not fails:
            assert done.returncode == 0, done.stderr
        return done

    def write(self):
        (self.bundle / "config.json").write_text(json.dumps(self.config))

    def run(self, *args, **process):
        self.config["process"].update(args=list(args), **process)
        self.write()
        return self("run", self.id("run"), fails=True)

    def id(self, name):
        made = f"smp-{self.name}-{os.getpid()}-{name}"
        self.config["linux"]["cgroupsPath"] = f"/{made}"
        self.made.add(made)
        return made

    def create(self, *args, name="c"):
        self.config["process"]["args"] = list(args)
        container = self.id(name)
        self.write()
        # not through pipes: the container would hold them open
        with open(self.bundle / "log", "w+") as log:
            code = subprocess.run(
                [*self.command, "create", "--pid-file", "pid", container],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.bundle,
            ).returncode
            log.seek(0)
            assert code == 0, log.read()
        return container

    def status(self, container):
        return json.loads(self("state", container).stdout)["status"]

    def wait_for(self, container, status):
        for _ in range(500):
            if self.status(container) == status:
                return
            time.sleep(0.01)
        raise AssertionError(f"never {status}")


@pytest.fixture(params=["sampan-oci", "runc"])
def runtime(request, tmp_path):
    command = SAMPAN if request.param == "sampan-oci" else ["runc"]
    if not shutil.which(command[0]):
        pytest.skip("runc is not installed")
    made = Runtime(command, tmp_path, request.param)
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


def test_exit_code_and_output(runtime):
    done = runtime.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_signal_becomes_128_and_its_number(runtime):
    # PID 1 of a namespace cannot be killed from inside: a shell passes its child's code on
    assert runtime.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137


def test_lifecycle(runtime):
    container = runtime.create("sleep", "100")
    assert runtime.status(container) == "created"
    pid = int((runtime.bundle / "pid").read_text())
    assert json.loads(runtime("state", container).stdout)["pid"] == pid
    assert "already exists" in runtime("create", container, fails=True).stderr
    runtime("start", container)
    assert runtime.status(container) == "running"
    assert runtime("start", container, fails=True).returncode == 1
    assert runtime("delete", container, fails=True).returncode == 1
    listed = json.loads(runtime("list", "--format", "json").stdout)
    assert [c["id"] for c in listed] == [container]
    runtime("kill", container, "KILL")
    runtime.wait_for(container, "stopped")
    assert runtime("kill", container, "TERM", fails=True).returncode == 1
    runtime("delete", container)
    assert "does not exist" in runtime("state", container, fails=True).stderr


def test_delete_of_a_created_container_and_by_force(runtime):
    created = runtime.create("sleep", "100")
    runtime("delete", "--force", created)
    running = runtime.create("sleep", "100", name="d")
    runtime("start", running)
    runtime("delete", "--force", running)
    assert runtime("delete", "--force", running, fails=True).returncode == 0


def test_exec(runtime):
    container = runtime.create("sleep", "100")
    runtime("start", container)
    done = runtime(
        "exec",
        "--env",
        "A=b",
        "--cwd",
        "/tmp",
        container,
        "sh",
        "-c",
        "echo $A $PWD; exit 3",
        fails=True,
    )
    assert (done.returncode, done.stdout) == (3, "b /tmp\n")
    done = runtime("exec", "--user", "12:34", container, "id")
    assert done.stdout.startswith("uid=12 gid=34")
    assert runtime("exec", container, "nope", fails=True).returncode == 255
    assert json.loads(runtime("ps", "--format", "json", container).stdout)


def test_pause_and_resume(runtime):
    container = runtime.create("sleep", "100")
    runtime("start", container)
    runtime("pause", container)
    assert runtime.status(container) == "paused"
    runtime("resume", container)
    assert runtime.status(container) == "running"


def test_exec_into_a_paused_container_is_refused_or_waits(runtime):
    container = runtime.create("sleep", "100")
    runtime("start", container)
    runtime("pause", container)
    done = runtime("exec", container, "true", fails=True)
    assert done.returncode == 255 and "cannot exec in a paused container" in done.stderr
    waits = subprocess.Popen(
        [*runtime.command, "exec", "--ignore-paused", container, "sh", "-c", "exit 5"]
    )
    runtime("resume", container)
    assert waits.wait(20) == 5


def _own_paths(runtime, container, *flags):
    """controller → path of a process that exec starts."""
    lines = runtime("exec", *flags, container, "cat", "/proc/self/cgroup").stdout.splitlines()
    return {line.split(":")[1]: line.split(":", 2)[2] for line in lines}


def test_exec_joins_the_cgroup_or_one_below(runtime):
    container = runtime.create("sleep", "100")
    runtime("start", container)
    assert set(_own_paths(runtime, container).values()) == {f"/{container}"}
    for wrong in ("..", "a/../../..", "nonexistent"):
        assert runtime("exec", "--cgroup", wrong, container, "true", fails=True).returncode == 255
    if not os.path.isdir("/sys/fs/cgroup/pids"):
        os.mkdir(f"/sys/fs/cgroup/{container}/sub")
        assert _own_paths(runtime, container, "--cgroup", "sub") == {"": f"/{container}/sub"}
        return
    wrong = runtime("exec", "--cgroup", "whaaat:/", container, "true", fails=True)
    assert wrong.returncode == 255 and "unknown controller" in wrong.stderr
    os.mkdir(f"/sys/fs/cgroup/pids/{container}/sub")
    found = _own_paths(runtime, container, "--cgroup", "pids:sub")
    assert (found["pids"], found["memory"]) == (f"/{container}/sub", f"/{container}")


def test_missing_and_unusable_commands(runtime):
    assert "executable file not found in $PATH" in runtime.run("nope").stderr
    assert "permission denied" in runtime.run("/proc/version").stderr
    assert runtime.run("/bin").returncode != 0


def test_capabilities_and_no_new_privileges(runtime):
    done = runtime.run("cat", "/proc/self/status", noNewPrivileges=True)
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert [status[f"Cap{n}"] for n in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [
        *("0" * 16, "0" * 14 + "21", "0" * 14 + "21", "0" * 14 + "21", "0" * 16)
    ]
    assert status["NoNewPrivs"] == "1"


def test_user_groups_umask_and_limits(runtime):
    done = runtime.run(
        *(
            "sh",
            "-c",
            "id; umask; ulimit -n; cat /proc/self/oom_score_adj; grep Groups /proc/self/status",
        ),
        user={"uid": 5, "gid": 6, "additionalGids": [7, 8], "umask": 0o27},
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        oomScoreAdj=500,
    )
    assert done.stdout.split("\n")[1:4] == ["0027", "100", "500"]
    assert done.stdout.startswith("uid=5 gid=6") and "Groups:\t7 8" in done.stdout


def test_masked_and_readonly_paths(runtime):
    done = runtime.run(
        "sh",
        "-c",
        "cat /proc/kcore; ls /proc/acpi; echo 1 > /proc/sys/kernel/panic || echo refused",
    )
    assert done.stdout == "refused\n"


def test_readonly_root(runtime):
    runtime.config["root"]["readonly"] = True
    done = runtime.run("sh", "-c", "touch /x || echo refused")
    assert done.stdout == "refused\n"
    assert not (runtime.rootfs / "x").exists()


def test_mounts(runtime):
    (runtime.bundle / "data").mkdir()
    (runtime.bundle / "data/file").write_text("hello")
    bind = {"type": "bind", "source": "data", "options": ["rbind", "ro"]}
    file = {"type": "bind", "source": "data/file", "options": ["bind"]}
    runtime.config["mounts"] += [
        {"destination": "/new/place", **bind},
        {"destination": "/etc/one", **file},
        {"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["nosuid", "size=8k"]},
    ]
    done = runtime.run("sh", "-c", "cat /new/place/file /etc/one; touch /new/place/x || mount")
    assert done.stdout.startswith("hellohello")
    line = next(line for line in done.stdout.splitlines() if " /tmp " in line)
    assert "nosuid" in line and "size=8k" in line


def test_hostname_and_default_devices(runtime):
    runtime.config["hostname"] = "harbour"
    script = "hostname; echo x > /dev/null && cat /dev/zero | head -c1 | wc -c; readlink /dev/stdin"
    for tool in ("head", "wc", "readlink"):
        (runtime.rootfs / "bin" / tool).symlink_to("busybox")
    done = runtime.run("sh", "-c", script)
    assert done.stdout.split() == ["harbour", "1", "/proc/self/fd/0"], done.stderr


def test_hooks_run_in_order(runtime):
    log = runtime.bundle / "hooks"

    def hook(name):
        script = f"cat >/dev/null; echo {name} >> {log}"
        return [{"path": "/bin/sh", "args": ["sh", "-c", script]}]

    runtime.config["hooks"] = {
        name: hook(name)
        for name in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    }
    assert runtime.run("true").returncode == 0
    assert log.read_text().split() == [
        *("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    ]


def test_a_failing_hook_leaves_no_container(runtime):
    runtime.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    assert runtime.run("true").returncode == 1
    assert runtime("list", "--quiet").stdout == ""


def test_proc_must_be_a_real_directory(runtime):
    (runtime.rootfs / "proc").rmdir()
    (runtime.rootfs / "proc").symlink_to("tmp")
    assert runtime.run("true").returncode == 1


def test_working_directory_is_made(runtime):
    assert runtime.run("sh", "-c", "pwd", cwd="/made/for/you").stdout == "/made/for/you\n"


def test_working_directory_of_exec_is_not_made(runtime):
    container = runtime.create("sleep", "100")
    runtime("start", container)
    done = runtime("exec", "--cwd", "/not/there", container, "true", fails=True)
    assert done.returncode == 255
    assert "chdir" in done.stderr and "o such file or directory" in done.stderr
    assert not (runtime.rootfs / "not").exists()


def test_loopback_of_a_new_network_namespace_is_up(runtime):
    lines = runtime.run("/bin/busybox", "ifconfig", "lo").stdout.splitlines()
    assert any("127.0.0.1" in line for line in lines)
    assert any(" UP " in line for line in lines)


def test_a_user_can_open_stdout_by_its_name(runtime):
    user = {"uid": 1000, "gid": 1000}
    script = "echo out >/dev/stdout; echo err >/dev/stderr"
    done = runtime.run("sh", "-c", script, user=user)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    container = runtime.create("sleep", "100")
    runtime("start", container)
    done = runtime("exec", "--user", "1001:1001", container, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_groups_of_the_caller_are_kept_when_asked(runtime):
    if runtime.name == "runc":
        pytest.skip("runc has no such annotation")
    runtime.config["annotations"] = {"run.oci.keep_original_groups": "1"}
    runtime.config["process"].update(args=["sleep", "100"])
    container = runtime.id("groups")
    runtime.write()

    def call(*arguments):
        done = subprocess.run(
            [*runtime.command, *arguments],
            stdout=subprocess.PIPE,
            cwd=runtime.bundle,
            extra_groups=[101, 102],
            check=True,
        )
        return done.stdout.decode()

    with open("/dev/null", "w") as null:
        subprocess.run(
            [*runtime.command, "run", "--detach", container],
            stdout=null,
            stderr=null,
            cwd=runtime.bundle,
            extra_groups=[101, 102],
            check=True,
        )
    for process in ("1", "self"):
        status = call("exec", container, "cat", f"/proc/{process}/status")
        groups = next(line for line in status.splitlines() if line.startswith("Groups:"))
        assert groups.split()[1:] == ["101", "102"]


def test_a_domain_name_and_another_one_are_refused(runtime):
    if runtime.name == "runc":
        pytest.skip("Debian's runc has no domain names")
    runtime.config["domainname"] = "here.example"
    runtime.config["linux"]["sysctl"] = {"kernel.domainname": "there.example"}
    done = runtime.run("true")
    assert done.returncode == 1
    assert "there.example" in done.stderr


def test_a_file_as_stdin_stays_its_owner_s(runtime):
    runtime.config["process"].update(args=["cat"], user={"uid": 1000, "gid": 1000})
    container = runtime.id("file")
    runtime.write()
    path = runtime.bundle / "input"
    path.write_text("read\n")
    with path.open() as stdin:
        done = subprocess.run(
            [*runtime.command, "run", container],
            stdin=stdin,
            capture_output=True,
            text=True,
            cwd=runtime.bundle,
        )
    assert done.stdout == "read\n"
    assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


def test_limits_reach_the_cgroup(runtime):
    runtime.config["linux"]["resources"]["pids"] = {"limit": 33}
    container = runtime.create("sleep", "100")
    pid = (runtime.bundle / "pid").read_text()
    with open(f"/proc/{pid}/cgroup") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    v1 = [p for _, names, p in lines if "pids" in names.split(",")]
    unified = next((p for _, names, p in lines if not names), "")
    top = f"/sys/fs/cgroup/pids{v1[0]}" if v1 else f"/sys/fs/cgroup{unified}"
    with open(f"{top}/pids.max") as file:
        assert file.read() == "33\n"
    runtime("delete", "--force", container)
    assert not os.path.exists(top)


def need_time(runtime):
    if runtime.name == "runc":
        shown = runtime("features", fails=True).stdout
        if not shown.startswith("{") or "time" not in json.loads(shown)["linux"]["namespaces"]:
            pytest.skip("this runc has no time namespaces")


def test_clocks_of_a_time_namespace(runtime):
    need_time(runtime)
    runtime.config["linux"]["namespaces"].append({"type": "time"})
    runtime.config["linux"]["timeOffsets"] = {
        "monotonic": {"secs": 7881, "nanosecs": 27},
        "boottime": {"secs": 1337},
    }
    lines = runtime.run("cat", "/proc/self/timens_offsets").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["monotonic", "7881", "27"],
        ["boottime", "1337", "0"],
    ]


def test_time_offsets_need_a_time_namespace(runtime):
    need_time(runtime)
    runtime.config["linux"]["timeOffsets"] = {"monotonic": {"secs": 1}}
    assert runtime.run("true").returncode == 1


def test_a_label_that_nothing_enforces_is_refused(runtime):
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is there")
    assert runtime.run("true", selinuxLabel="system_u:system_r:container_t:s0").returncode == 1
