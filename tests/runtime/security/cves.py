"""The holes that other runtimes had, each as a rule: what an image or a container tries to do.

https://github.com/opencontainers/runc/security/advisories, and crun's. What a container of the
weakened build would harm is a file of the test, never the host's own.
"""

import fcntl
import os
import socket
import subprocess

from tests.conformance.test_oci_runtime import DEV, PROC, PTS
from tests.runtime.security.harness import Edit, rule

TABLE = (
    *("2016-9962", "2019-5736", "2019-16884", "2019-19921", "2023-27561", "2023-28642"),
    *("2021-43784", "2022-29162", "2022-27650", "2023-25809", "2024-21626", "2024-45310"),
    *("2025-31133", "2025-52565", "2025-52881", "2026-41579", "2026-47766", "2026-30892"),
    *("2025-24965", "2019-18837"),
)
ALL_CAPS = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID"]


def refused(done, *words):
    assert done.returncode != 0, done.stdout
    assert any(word in done.stderr for word in words), done.stderr


def own_users(rt, *, identity=False):
    first = 0 if identity else 100000
    mapping = [{"containerID": 0, "hostID": first, "size": 65536}]
    rt.config["linux"]["namespaces"].append({"type": "user"})
    rt.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    if not identity:
        os.chown(rt.rootfs, first, first)


def neighbour(rt, *, users):
    """A running container with power over its processes, and one created in its namespaces.

    Returns (the first one's id, the second one's process id in there).
    """
    if users:
        own_users(rt, identity=True)
    rt.config["process"]["capabilities"] = dict.fromkeys(
        ("bounding", "effective", "permitted"), ALL_CAPS
    )
    first = rt.create("sleep", "100", name="first")
    rt("start", first)
    pid = int((rt.bundle / "pid").read_text())
    for namespace in rt.config["linux"]["namespaces"]:
        if namespace["type"] in ("pid", "user"):
            namespace["path"] = f"/proc/{pid}/ns/{namespace['type']}"
    rt.config["linux"].pop("uidMappings", None)
    rt.config["linux"].pop("gidMappings", None)
    rt.create("sleep", "100", name="second")
    second = (rt.bundle / "pid").read_text()
    with open(f"/proc/{second}/status") as file:
        inside = next(line for line in file if line.startswith("NSpid:")).split()[-1]
    return first, inside


@rule(
    "CVE-2016-9962 a process that is being prepared cannot be looked into",
    Edit(
        file="runtime/clone.py",
        old="process.prctl(PR.SET_DUMPABLE, 0)",
        new="process.prctl(PR.SET_DUMPABLE, 1)",
    ),
)
def _(rt):
    first, inside = neighbour(rt, users=True)
    done = rt("exec", first, "ls", "-l", f"/proc/{inside}/fd", fails=True)
    assert "->" not in done.stdout, done.stdout


@rule(
    "CVE-2019-5736 the interpreter cannot be written through /proc/PID/exe",
    Edit(
        file="linux/sealed.py",
        old='    exe = os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)\n',
        new='    return True\n    exe = os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)\n',
    ),
)
def _(rt):
    first, inside = neighbour(rt, users=False)
    # it is only opened: what runs is "Text file busy" anyway, but once it has ended is not
    done = rt("exec", first, "sh", "-c", f": >>/proc/{inside}/exe", fails=True)
    assert done.returncode, "it can be opened for writing"
    exe = f"/proc/{(rt.bundle / 'pid').read_text()}/exe"
    assert os.readlink(exe).startswith("/memfd:") or os.statvfs(exe).f_flag & os.ST_RDONLY


@rule(
    "CVE-2019-19921 CVE-2023-27561 CVE-2023-28642 proc is not mounted through a link",
    Edit(
        file="runtime/mounts.py",
        old='files.RESOLVE.NO_SYMLINKS if item.type in ("proc", "sysfs") else 0',
        new="0",
    ),
)
def _(rt):
    os.rmdir(rt.rootfs / "proc")
    (rt.rootfs / "elsewhere").mkdir()
    (rt.rootfs / "proc").symlink_to("/elsewhere")
    rt.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    refused(rt.run("true"), "must be mounted on ordinary directory")


_NO_PROC_CHECK = Edit(
    file="runtime/mounts.py",
    old="            self._check_proc(place, item, -1)\n",
    new="",
)


@rule("CVE-2019-16884 only proc is mounted at /proc", _NO_PROC_CHECK)
def _(rt):
    tmpfs = {"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}
    rt.config["mounts"] = [PROC, DEV, PTS, tmpfs]
    rt.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    refused(rt.run("true"), "not of type proc")


@rule("CVE-2025-52881 what is written to in /proc is not covered", _NO_PROC_CHECK)
def _(rt):
    covered = {"destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs"}
    rt.config["mounts"] = [PROC, DEV, PTS, covered]
    refused(rt.run("true"), "inside /proc")


@rule(
    "CVE-2025-52881 a write to /proc/self/attr is not led elsewhere by a bind",
    Edit(
        file="runtime/mounts.py",
        old="                self._check_proc(place, item, tree)\n",
        new="",
    ),
)
def _(rt):
    bind = {
        "destination": "/proc/self/attr/exec",
        "source": "/proc/self/sched",
        "options": ["bind"],
    }
    rt.config["mounts"].append(bind)
    refused(rt.run("true"), "inside /proc")


@rule(
    "CVE-2025-52881 a sysctl is not written to what lies over /proc/sys",
    Edit(file="runtime/enter.py", old=" | files.RESOLVE.NO_XDEV", new=""),
)
def _(rt):
    rt.config["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    rt.config["process"]["args"] = ["true"]
    container = rt.id("sysctl")
    rt.write()
    script = (
        "mount -t tmpfs none /proc/sys && mkdir -p /proc/sys/net/ipv4 && "
        'touch /proc/sys/net/ipv4/ip_forward && exec "$@"'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *rt.command, "run", container],
        capture_output=True,
        text=True,
        cwd=rt.bundle,
    )
    refused(done, "net.ipv4.ip_forward")


@rule(
    "CVE-2021-43784 nothing that is handed over is cut to a smaller length",
    Edit(
        file="linux/namespaces.py",
        old="os.write(fd, text.encode())",
        new="os.write(fd, text[: text.rfind(chr(10), 0, len(text) & 0x3FF) + 1].encode())",
    ),
)
def _(rt):
    own_users(rt)
    many = [{"containerID": n, "hostID": 100000 + 2 * n, "size": 1} for n in range(200)]
    rt.config["linux"].update(uidMappings=many, gidMappings=many)
    done = rt.run("cat", "/proc/self/uid_map")
    assert len(done.stdout.splitlines()) == 200, done.stderr


@rule(
    "CVE-2022-29162 CVE-2022-27650 exec --cap gives nothing to inherit",
    Edit(
        file="runtime/credentials.py",
        old="capabilities.set_(sets[1], sets[2], sets[3])",
        new="capabilities.set_(sets[1], sets[2], sets[2])",
    ),
)
def _(rt):
    container = rt.create("sleep", "100")
    rt("start", container)
    done = rt("exec", "--cap", "CAP_NET_RAW", container, "cat", "/proc/self/status")
    found = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert int(found["CapPrm"], 16) & 1 << 13
    assert int(found["CapInh"], 16) == 0


@rule(
    "CVE-2023-25809 the host's cgroups cannot be written without a cgroup namespace",
    Edit(file="runtime/cgroup_mount.py", old="attributes |= MOUNT_ATTR.RDONLY", new="pass"),
)
def _(rt):
    own_users(rt, identity=True)
    cgroups = {
        "destination": "/sys/fs/cgroup",
        "type": "cgroup",
        "source": "cgroup",
        "options": ["ro", "nosuid", "noexec", "nodev"],
    }
    sysfs = {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]}
    rt.config["mounts"] += [sysfs, cgroups]
    attempt = "{ mkdir $d/made 2>&1 && echo $d && rmdir $d/made; }"
    script = f"for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -d $d ] || {attempt}; done; true"
    done = rt.run("sh", "-c", script)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines
    assert all("Read-only file system" in line for line in lines), done.stdout


@rule(
    "CVE-2024-21626 no descriptor of the host is left open",
    Edit(
        file="runtime/init.py", old="    process.close_from(first + len(moved))\n", new="    pass\n"
    ),
)
def _(rt):
    rt.config["process"]["args"] = ["ls", "-l", "/proc/self/fd"]
    container = rt.id("leak")
    rt.write()
    host = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    leak = fcntl.fcntl(host, fcntl.F_DUPFD, 50)  # or the next that is free
    os.close(host)
    done = subprocess.run(
        [*rt.command, "run", container],
        capture_output=True,
        text=True,
        cwd=rt.bundle,
        pass_fds=(leak,),
    )
    os.close(leak)
    assert done.returncode == 0, done.stderr
    assert f" {leak} -> /" not in done.stdout


@rule(
    "CVE-2024-21626 the working directory is inside",
    Edit(
        file="runtime/init.py",
        old="    _check_directory()\n    return True",
        new="    return True",
    ),
)
def _(rt):
    rt.config["process"].update(args=["ls"], cwd="/proc/self/fd/3")
    container = rt.id("cwd")
    rt.write()

    def leak():
        os.dup2(os.open("/", os.O_RDONLY | os.O_DIRECTORY), 3)

    done = subprocess.run(
        [*rt.command, "run", "--preserve-fds", "1", container],
        capture_output=True,
        text=True,
        cwd=rt.bundle,
        preexec_fn=leak,
        close_fds=False,
    )
    refused(done, "possible container breakout detected")


_PLAIN_OPEN = Edit(
    file="linux/files.py",
    old="inside = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | resolve",
    new="inside = resolve",
)


def link_to_host(rt):
    target = rt.bundle.parent / "host"
    target.mkdir()
    (rt.rootfs / "volume").symlink_to(target)
    return target


@rule("CVE-2024-45310 directories are made inside the root", _PLAIN_OPEN)
def _(rt):
    target = link_to_host(rt)
    tmpfs = {"destination": "/volume/new", "type": "tmpfs", "source": "tmpfs"}
    rt.config["mounts"].append(tmpfs)
    rt.run("true")
    assert os.listdir(target) == []


@rule("CVE-2019-18837 CVE-2025-24965 files to mount on are made inside the root", _PLAIN_OPEN)
def _(rt):
    target = link_to_host(rt)
    bind = {"destination": "/volume/new", "source": "/etc/hostname", "options": ["bind"]}
    rt.config["mounts"].append(bind)
    rt.run("true")
    assert os.listdir(target) == []


@rule(
    "CVE-2024-45310 also when a volume is swapped for a link meanwhile",
    Edit(
        file="linux/files.py",
        old="_mkdir(part, mode, parent)",
        new='_mkdir(done.lstrip("/"), mode, root)',
    ),
    also=(
        # between the look-up of /shared/place and the mkdir in it, as another container would
        Edit(
            file="linux/files.py",
            old="_mkdir(part, mode, parent)\n",
            new="if part == 'new':\n"
            "                        for old, new in ('place', 'was'), ('link', 'place'):\n"
            "                            os.rename(f'../{old}', f'../{new}', "
            "src_dir_fd=parent, dst_dir_fd=parent)\n"
            "                    _mkdir(part, mode, parent)\n",
        ),
    ),
)
def _(rt):
    target = link_to_host(rt)
    shared = rt.rootfs / "shared"
    shared.mkdir()
    (shared / "link").symlink_to(target)
    (shared / "place").mkdir()
    tmpfs = {"destination": "/shared/place/new", "type": "tmpfs", "source": "tmpfs"}
    rt.config["mounts"].append(tmpfs)
    rt.run("true")
    assert (shared / "place").is_symlink()  # the swap did come between
    assert os.listdir(target) == []


@rule(
    "CVE-2025-31133 a masked file shows the host's null device, not the container's",
    Edit(
        file="runtime/masks.py",
        old="mount.bind(null, place)",
        new='mount.bind(files.open_in_root(root, "/dev/null"), place)',
    ),
)
def _(rt):
    own = rt.bundle / "dev"
    own.mkdir()
    (own / "null").symlink_to("/proc/sys/kernel/ostype")
    (rt.rootfs / "etc/secret").write_text("secret")
    rt.config["mounts"] = [
        PROC,
        {"destination": "/dev", "source": str(own), "options": ["bind"]},
    ]
    rt.config["linux"]["maskedPaths"] = ["/etc/secret"]
    done = rt.run("cat", "/etc/secret")
    assert done.stdout == ""


@rule(
    "CVE-2025-31133 the null device of the host is one",
    Edit(
        file="runtime/devices.py",
        old="    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):\n",
        new="    if False:\n",
    ),
)
def _(rt):
    rt.config["process"]["args"] = ["true"]
    container = rt.id("null")
    rt.write()
    false = rt.bundle / "false-null"
    false.write_text("")
    script = 'mount --bind "$0" /dev/null && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(false), *rt.command, "run", container],
        capture_output=True,
        text=True,
        cwd=rt.bundle,
        stdin=subprocess.PIPE,
    )
    refused(done, "/dev/null")


class Console:
    """The other end of --console-socket."""

    def __init__(self, rt):
        self.path = f"/tmp/smp-console-{os.getpid()}-{rt.name}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)

    def close(self):
        self._listener.close()
        os.unlink(self.path)


def run_with_terminal(rt):
    rt.config["process"].update(args=["sleep", "100"], terminal=True)
    container = rt.id("tty")
    rt.write()
    console = Console(rt)
    try:
        return subprocess.run(
            [*rt.command, "run", "--detach", "--console-socket", console.path, container],
            capture_output=True,
            text=True,
            cwd=rt.bundle,
            timeout=30,
        )
    finally:
        console.close()


@rule(
    "CVE-2025-52565 the terminal comes from a real multiplexer",
    Edit(
        file="runtime/devices.py",
        old='"/dev/pts/ptmx", os.O_PATH | os.O_NOFOLLOW, 0, files.RESOLVE.NO_SYMLINKS',
        new='"/dev/pts/ptmx", os.O_PATH, 0, 0',
    ),
)
def _(rt):
    false = rt.bundle / "pts"
    false.mkdir()
    (false / "ptmx").symlink_to("/dev/real/ptmx")
    rt.config["mounts"] = [
        PROC,
        DEV,
        {**PTS, "destination": "/dev/real"},
        {"destination": "/dev/pts", "source": str(false), "options": ["bind"]},
    ]
    refused(run_with_terminal(rt), "no terminal multiplexer")


@rule(
    "CVE-2025-52565 the console is not mounted through a link",
    Edit(
        file="runtime/devices.py",
        old='try:\n        place = os.open("console", os.O_PATH | os.O_NOFOLLOW',
        new='try:\n        place = os.open("console", os.O_PATH',
    ),
)
def _(rt):
    own = rt.bundle / "dev"
    (own / "pts").mkdir(parents=True)
    (own / "console").symlink_to("/etc/target")
    (rt.rootfs / "etc/target").write_text("")
    rt.config["mounts"] = [
        PROC,
        {"destination": "/dev", "source": str(own), "options": ["bind"]},
        PTS,
    ]
    refused(run_with_terminal(rt), "symbolic link")


@rule(
    "CVE-2026-41579 CVE-2026-47766 devices are not made through a link",
    Edit(
        file="runtime/devices.py",
        old='dev = files.make_dirs(root, "/dev", resolve=files.RESOLVE.NO_SYMLINKS)',
        new='dev = os.open(plan.root + "/dev", os.O_PATH)',
    ),
)
def _(rt):
    target = rt.bundle.parent / "devices"
    target.mkdir()
    rt.config["mounts"] = [PROC]
    os.rmdir(rt.rootfs / "dev")
    (rt.rootfs / "dev").symlink_to(target)
    done = rt.run("true")
    assert os.listdir(target) == []
    refused(done, "must be a real directory")


@rule(
    "CVE-2026-30892 exec -u takes nothing but ids",
    Edit(
        file="cli/oci/exec.py",
        old="    if not (text.isascii() and text.isdecimal()):\n",
        new='    text = "".join(filter(str.isdigit, text)) or "0"\n    if False:\n',
    ),
)
def _(rt):
    container = rt.create("sleep", "100")
    rt("start", container)
    for user in ("1000x", ":5", "-1", "1000:", "0x10", ""):
        done = rt("exec", f"--user={user}", container, "id", fails=True)
        assert done.returncode != 0, (user, done.stdout)
    assert "uid=1000" in rt("exec", "--user", "1000", container, "id").stdout
