"""What nobody got a CVE for, but what a runtime is expected to hold."""

import json
import os
import stat
import subprocess

from tests.conformance.test_oci_runtime import DEV, PROC, PTS
from tests.runtime.security.cves import own_users, refused
from tests.runtime.security.harness import Edit, rule


def owner_after(rt, verb, container):
    """Who owns a null device of the host's when a container has had it as stdin and changed it."""
    node = rt.bundle / "null"
    if not node.exists():
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    change = ["/bin/busybox", "chown", "1:1", "/proc/self/fd/0"]
    rt.config["process"]["args"] = change
    if verb == "run":
        rt.write()
    with node.open() as stdin:
        subprocess.run(
            [*rt.command, verb, container, *(change if verb == "exec" else ())],
            stdin=stdin,
            capture_output=True,
            cwd=rt.bundle,
        )
    found = node.stat()
    return found.st_uid, found.st_gid


@rule(
    "no module is loaded from the image",
    Edit(file="runtime/init.py", old="        lock_imports()\n", new=""),
    also=(
        # an import that somebody forgot, where the image's files are in sight already
        Edit(
            file="runtime/init.py",
            old="        path = _become(plan, wires)\n",
            new="        path = _become(plan, wires)\n"
            "        try:\n            import colorsys\n"
            "        except ImportError:\n            pass\n",
        ),
    ),
)
def _(rt):
    for path in os.path.dirname(os.__file__), os.path.dirname(os.path.dirname(os.__file__)):
        place = rt.rootfs / path.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        (place / "colorsys.py").write_text("open('/tmp/ran', 'w').close()\n")
    assert rt.run("true").returncode == 0
    assert not (rt.rootfs / "tmp/ran").exists()


@rule(
    "a session keyring of its own",
    Edit(
        file="runtime/enter.py",
        old="        process.join_session_keyring(name)\n",
        new="        pass\n",
    ),
)
def _(rt):
    done = rt.run("cat", "/proc/keys")
    own = next(name for name in rt.made if name.endswith("-run"))
    assert f"_ses.{own}" in done.stdout


@rule(
    "devices that were not allowed cannot be opened",
    Edit(
        file="runtime/create.py",
        old='    return {**limits, "devices": [*rules, *_ALLOWED]}\n',
        new="    return {}\n",
    ),
)
def _(rt):
    caps = [*rt.config["process"]["capabilities"]["bounding"], "CAP_MKNOD", "CAP_SYSLOG"]
    rt.config["process"]["capabilities"] = dict.fromkeys(
        ("bounding", "effective", "permitted"), caps
    )
    done = rt.run("sh", "-c", "mknod /dev/kmsg c 1 11 && : </dev/kmsg")
    assert "Operation not permitted" in done.stderr, done.stderr
    assert "mknod" not in done.stderr


@rule(
    "a sysctl of the host cannot be set",
    Edit(
        file="runtime/namespace_plan.py",
        old='raise errors.InvalidConfig(f"sysctl {name} would change the whole host")',
        new='needed = "uts"',
    ),
)
def _(rt):
    with open("/proc/sys/kernel/pid_max") as file:
        rt.config["linux"]["sysctl"] = {"kernel.pid_max": file.read().strip()}
    refused(rt.run("true"), "kernel.pid_max")


@rule(
    "a sysctl of a namespace needs that namespace",
    Edit(
        file="runtime/namespace_plan.py",
        old="        if needed not in kinds:\n",
        new="        if False:\n",
    ),
)
def _(rt):
    namespaces = rt.config["linux"]["namespaces"]
    namespaces[:] = [item for item in namespaces if item["type"] != "network"]
    with open("/proc/sys/net/core/somaxconn") as file:
        rt.config["linux"]["sysctl"] = {"net.core.somaxconn": file.read().strip()}
    refused(rt.run("true"), "net.core.somaxconn")


@rule(
    "a namespace of the host that is joined by its path does not count",
    Edit(file="runtime/namespace_plan.py", old=" if not (item.path and _is_host_s(item))", new=""),
)
def _(rt):
    for namespace in rt.config["linux"]["namespaces"]:
        if namespace["type"] == "network":
            namespace["path"] = "/proc/self/ns/net"
    with open("/proc/sys/net/core/somaxconn") as file:
        rt.config["linux"]["sysctl"] = {"net.core.somaxconn": file.read().strip()}
    refused(rt.run("true"), "net.core.somaxconn")


@rule(
    "the root is not a symbolic link",
    Edit(
        file="runtime/plan.py",
        old="root = find_root(config.root, options.bundle)",
        new="root = os.path.realpath(os.path.join(options.bundle, config.root.path))",
    ),
)
def _(rt):
    (rt.bundle / "linked").symlink_to("rootfs")
    rt.config["root"]["path"] = "linked"
    refused(rt.run("true"), "symbolic link")


@rule(
    "a bind mount takes no options of a file system",
    Edit(file="runtime/mount_plan.py", old="        if chosen.data:\n", new="        if False:\n"),
)
def _(rt):
    bind = {"destination": "/tmp", "source": "/etc", "options": ["bind", "size=1m"]}
    rt.config["mounts"].append(bind)
    refused(rt.run("true"), "size=1m")


@rule(
    "mapped ids are for bind mounts only",
    Edit(file="runtime/mount_plan.py", old="    if not can:\n", new="    if False:\n"),
)
def _(rt):
    mapping = [{"containerID": 0, "hostID": 100000, "size": 10}]
    rt.config["mounts"].append(
        {
            "destination": "/tmp",
            "type": "tmpfs",
            "source": "tmpfs",
            "uidMappings": mapping,
            "gidMappings": mapping,
        }
    )
    refused(rt.run("true"), "only supported for bind-mounts")


@rule(
    "--no-pivot leaves no complete proc behind",
    Edit(file="runtime/rootfs.py", old="            _cover(place)\n", new="            pass\n"),
)
def _(rt):
    caps = ["CAP_SETFCAP", "CAP_KILL", "CAP_SYS_CHROOT"]
    rt.config["process"].update(
        capabilities=dict.fromkeys(("bounding", "effective", "permitted"), caps),
        args=["/bin/busybox", "unshare", "-mrpf", "sh", "-c", "mount -t proc none /proc"],
    )
    container = rt.id("no-pivot")
    rt.write()
    done = rt("run", "--no-pivot", container, fails=True)
    refused(done, "permission denied", "Operation not permitted")


_CHOWN = {kind: ["CAP_CHOWN", "CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}
_UNSHIELDED = (
    Edit(
        file="runtime/stdio.py",
        old="    host = [fd for fd in stdio if _is_null(fd)]\n",
        new="    host = []\n",
    ),
    Edit(
        file="runtime/stdio.py",
        old="    host = [fd for fd in (0, 1, 2) if _is_null(fd)]\n",
        new="    host = []\n",
    ),
)


@rule("the host's null device is not handed to PID 1", *_UNSHIELDED)
def _(rt):
    rt.config["process"]["capabilities"] = _CHOWN
    assert owner_after(rt, "run", rt.id("null")) == (0, 0)


@rule("the host's null device is not handed to exec", *_UNSHIELDED)
def _(rt):
    rt.config["process"]["capabilities"] = _CHOWN
    container = rt.create("sleep", "100")
    rt("start", container)
    assert owner_after(rt, "exec", container) == (0, 0)


@rule(
    "the host's null device cannot be changed where the container has none",
    _UNSHIELDED[0],
    newer=True,
)
def _(rt):
    rt.config["process"]["capabilities"] = _CHOWN
    container = rt.create("sleep", "100")
    rt("start", container)
    rt("exec", container, "/bin/busybox", "rm", "/dev/null")
    assert owner_after(rt, "exec", container) == (0, 0)


@rule(
    "a read-only path keeps nosuid, nodev and noexec",
    Edit(
        file="runtime/masks.py",
        old="    mount.set_attributes(tree, MOUNT_ATTR.RDONLY)\n\n\ndef _mask",
        new="    mount.set_attributes(tree, MOUNT_ATTR.RDONLY, MOUNT_ATTR.NOSUID)\n\n\ndef _mask",
    ),
)
def _(rt):
    rt.config["mounts"][0] = {**PROC, "options": ["nosuid", "nodev", "noexec"]}
    done = rt.run("cat", "/proc/mounts")
    line = next(line for line in done.stdout.splitlines() if " /proc/sys " in line)
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(line.split()[3].split(",")), line


@rule(
    "masked directories are empty and stay so",
    Edit(file="runtime/masks.py", old="    _mask(root, plan.masked_paths, null)\n", new=""),
)
def _(rt):
    (rt.rootfs / "secret").mkdir()
    (rt.rootfs / "secret/file").write_text("secret")
    rt.config["linux"]["maskedPaths"] = ["/secret"]
    done = rt.run("sh", "-c", "ls /secret; touch /secret/new")
    assert done.stdout == ""
    assert "Read-only file system" in done.stderr


@rule(
    "the path of a cgroup does not lead out of its parent",
    Edit(file="runtime/cgroups.py", old='    if ".." in path.split("/"):\n', new="    if False:\n"),
)
def _(rt):
    container = rt.id("up")
    rt.config["linux"]["cgroupsPath"] = f"/smp-not-there/../{container}"
    rt.config["process"]["args"] = ["true"]
    rt.write()
    refused(rt("run", container, fails=True), "leads out of its parent")


@rule(
    "hooks are told the bundle",
    Edit(
        file="runtime/plan.py",
        old='        "bundle": options.bundle,\n    }\n',
        new='        "bundle": "",\n    }\n',
    ),
)
def _(rt):
    seen = rt.bundle / "seen"
    rt.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat >{seen}"]}]
    }
    assert rt.run("true").returncode == 0
    assert json.loads(seen.read_text())["bundle"] == str(rt.bundle)


@rule(
    "devices of the host's /dev are not changed when it is bound",
    Edit(
        file="runtime/devices.py",
        old="    if plan.host_dev:\n        return\n",
        new="",
    ),
)
def _(rt):
    own = rt.bundle / "dev"
    own.mkdir()
    rt.config["mounts"] = [PROC, {"destination": "/dev", "source": str(own), "options": ["bind"]}]
    assert rt.run("/bin/busybox", "true").returncode == 0
    assert os.listdir(own) == []


@rule(
    "a device node of the image is not taken for another one",
    Edit(
        file="runtime/devices.py",
        old="if not same or (found.st_rdev != number and not stat.S_ISFIFO(device.mode)):",
        new="if False:",
    ),
)
def _(rt):
    rt.config["mounts"] = [PROC]
    os.mknod(rt.rootfs / "dev/null", stat.S_IFREG | 0o666)
    refused(rt.run("true"), "is something else")


@rule(
    "a mount cannot replace the root itself",
    Edit(
        file="runtime/mounts.py",
        old='        if path == (self._top or "/"):\n',
        new="        if False:\n",
    ),
    Edit(
        file="runtime/mounts.py",
        old='        if not path.startswith(self._top + "/"):\n',
        new="        if False:\n",
    ),
)
def _(rt):
    (rt.rootfs / "here").symlink_to("/")
    bind = {"destination": "/here", "source": str(rt.rootfs), "options": ["bind"]}
    rt.config["mounts"] = [PROC, DEV, PTS, bind]
    refused(rt.run("true"), "on the top of rootfs")


@rule(
    "what another user namespace locked is not opened up",
    Edit(
        file="runtime/attributes.py",
        old="        if chosen.cleared & flag and now & attribute:\n            raise refused\n",
        new="        if chosen.cleared & flag and now & attribute:\n            pass\n",
    ),
)
def _(rt):
    own_users(rt)
    volume = rt.bundle / "volume"
    volume.mkdir()
    bind = {"destination": "/tmp", "source": str(volume), "options": ["bind", "rw"]}
    rt.config["mounts"].append(bind)
    rt.config["process"]["args"] = ["true"]
    container = rt.id("locked")
    rt.write()
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(volume), *rt.command, "run", container],
        capture_output=True,
        text=True,
        cwd=rt.bundle,
    )
    refused(done, "operation not permitted")
