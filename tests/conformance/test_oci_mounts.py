"""config.mounts, root and paths of an OCI runtime, from outside; runc passes the same tests."""

import os
import subprocess

import pytest

from tests.conformance.test_oci_runtime import DEV, PROC, PTS, runtime

assert runtime  # the fixture
READ = "while read -r _ where _ options _; do echo $where $options; done </proc/mounts"


def options_of(runtime):
    done = runtime.run("sh", "-c", READ)
    assert done.returncode == 0, done.stderr
    return {
        where: options.split(",") for where, options in map(str.split, done.stdout.splitlines())
    }


def not_runc(runtime, why):
    if runtime.name == "runc":
        pytest.skip(why)


def bind(runtime, *options, name="volume", **more):
    volume = runtime.bundle / name
    volume.mkdir(exist_ok=True)
    mount = {"destination": f"/{name}", "source": name, "options": [*options], **more}
    runtime.config["mounts"].append(mount)
    return volume


def tmpfs(runtime, *options, place="/mnt"):
    mount = {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": [*options]}
    runtime.config["mounts"].append(mount)


def test_relative_source_and_destination(runtime):
    volume = bind(runtime, "bind")
    runtime.config["mounts"][-1]["destination"] = "volume"
    (volume / "file").write_text("there\n")
    assert runtime.run("cat", "/volume/file").stdout == "there\n"


def test_a_file_is_bound_on_a_file_that_is_made(runtime):
    (runtime.bundle / "one").write_text("one\n")
    runtime.config["mounts"].append(
        {"destination": "/new/place/one", "source": "one", "options": ["bind", "ro"]}
    )
    assert runtime.run("cat", "/new/place/one").stdout == "one\n"


def test_a_dangling_link_is_made_inside(runtime):
    (runtime.bundle / "one").write_text("one\n")
    (runtime.rootfs / "etc/hosts").symlink_to("/deep/down/hosts")
    runtime.config["mounts"].append(
        {"destination": "/deep/down/hosts", "source": "one", "options": ["bind"]}
    )
    assert runtime.run("cat", "/etc/hosts").stdout == "one\n"


def test_a_missing_source_is_named(runtime):
    runtime.config["mounts"].append(
        {"destination": "/tmp", "source": "/not/there", "options": ["bind"]}
    )
    done = runtime.run("true")
    assert done.returncode == 1
    assert "/not/there" in done.stderr
    assert "no such file or directory" in done.stderr


def test_read_only_is_for_one_mount_and_rro_for_the_tree(runtime, own_tree):
    for name, option in (("plain", "ro"), ("whole", "rro")):
        runtime.config["mounts"].append(
            {"destination": f"/{name}", "source": str(own_tree), "options": ["rbind", option]}
        )
    found = options_of(runtime)
    assert "ro" in found["/plain"]
    assert "rw" in found["/plain/below"]
    assert "ro" in found["/whole"]
    assert "ro" in found["/whole/below"]


@pytest.fixture
def own_tree(tmp_path):
    """A mount with another one on it; of the disk, whose ids can be mapped on any kernel."""
    top = tmp_path / "tree"
    for name, place in (("upper", top), ("lower", top / "below")):
        (tmp_path / name).mkdir()
        place.mkdir()
        subprocess.run(["mount", "--bind", tmp_path / name, place], check=True)
    yield top
    subprocess.run(["umount", "-R", top], check=True)


def test_recursive_attributes(runtime, own_tree):
    runtime.config["mounts"].append(
        {
            "destination": "/mnt",
            "source": str(own_tree),
            "options": ["rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"],
        }
    )
    found = options_of(runtime)
    for place in ("/mnt", "/mnt/below"):
        assert {"nosuid", "nodev", "noexec", "noatime"} <= set(found[place])


def test_a_tmpfs_takes_its_options(runtime):
    tmpfs(runtime, "nosuid", "nodev", "noexec", "ro", "size=64k", "mode=1711")
    found = options_of(runtime)["/mnt"]
    assert {"ro", "nosuid", "nodev", "noexec", "size=64k", "mode=1711"} <= set(found)


def test_a_read_only_tmpfs_can_be_mounted_on(runtime):
    tmpfs(runtime, "ro")
    tmpfs(runtime, place="/mnt/below")
    found = options_of(runtime)
    assert "ro" in found["/mnt"]
    assert "rw" in found["/mnt/below"]


def test_tmpcopyup(runtime):
    (runtime.rootfs / "filled/dir").mkdir(parents=True)
    (runtime.rootfs / "filled/dir/file").write_text("kept\n")
    (runtime.rootfs / "filled/link").symlink_to("dir/file")
    (runtime.rootfs / "filled/dir").chmod(0o711)
    tmpfs(runtime, "tmpcopyup", place="/filled")
    done = runtime.run(
        "sh", "-c", "cat /filled/link; ls -ld /filled/dir | cut -c1-10; echo new >/filled/dir/file"
    )
    assert done.stdout.split() == ["kept", "drwx--x--x"]
    assert (runtime.rootfs / "filled/dir/file").read_text() == "kept\n"


@pytest.mark.parametrize("kind", ["shared", "slave", "private", "unbindable"])
def test_propagation_of_a_mount(runtime, kind):
    bind(runtime, "bind", f"r{kind}")
    done = runtime.run("sh", "-c", "grep ' /volume ' /proc/self/mountinfo")
    tag = {"shared": "shared:", "slave": "", "private": "", "unbindable": "unbindable"}[kind]
    assert tag in done.stdout
    assert ("shared:" in done.stdout) == (kind == "shared")


@pytest.mark.parametrize("kind", ["shared", "slave", "private", "unbindable"])
def test_propagation_of_the_root(runtime, kind):
    if kind in ("shared", "unbindable"):
        not_runc(runtime, "it sets the host's root instead, until 1.3")
    runtime.config["linux"]["rootfsPropagation"] = kind
    done = runtime.run("sh", "-c", "grep ' / / ' /proc/self/mountinfo || cat /proc/self/mountinfo")
    first = next(line for line in done.stdout.splitlines() if line.split()[4] == "/")
    assert ("shared:" in first) == (kind == "shared")
    assert ("unbindable" in first) == (kind == "unbindable")


def test_a_read_only_root(runtime):
    runtime.config["root"]["readonly"] = True
    done = runtime.run("touch", "/new")
    assert "Read-only file system" in done.stderr
    runtime.config["root"]["readonly"] = False


def test_masked_and_read_only_paths(runtime):
    (runtime.rootfs / "etc/key").write_text("key")
    (runtime.rootfs / "etc/dir").mkdir()
    (runtime.rootfs / "etc/dir/file").write_text("")
    (runtime.rootfs / "etc/fixed").mkdir()
    runtime.config["linux"]["maskedPaths"] = ["/etc/key", "/etc/dir", "/etc/none"]
    runtime.config["linux"]["readonlyPaths"] = ["/etc/fixed", "/etc/nothing"]
    done = runtime.run("sh", "-c", "cat /etc/key; ls /etc/dir; touch /etc/fixed/x /etc/dir/x")
    assert done.stdout == ""
    assert done.stderr.count("Read-only file system") == 2


def test_default_devices_and_links(runtime):
    done = runtime.run(
        "sh", "-c", "for d in null zero full random urandom tty; do ls -l /dev/$d; done; "
        "for l in fd stdin stdout stderr ptmx; do ls -l /dev/$l; done"
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert all(line.startswith("crw-rw-rw-") for line in lines[:6])
    assert [line.split(" -> ")[1] for line in lines[6:]] == [
        *("/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"),
    ]


def test_devices_of_the_config(runtime):
    runtime.config["linux"]["devices"] = [
        {
            "path": "/dev/net/own",
            "type": "c",
            "major": 10,
            "minor": 200,
            "fileMode": 0o640,
            "uid": 7,
        },
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600, "gid": 9},
    ]
    done = runtime.run("sh", "-c", "ls -ln /dev/net/own /dev/pipe")
    own, pipe = (line.split() for line in done.stdout.splitlines())
    assert (own[0], own[2], own[4:6]) == ("crw-r-----", "7", ["10,", "200"])
    assert (pipe[0], pipe[3]) == ("prw-------", "9")


def test_devices_in_a_user_namespace_are_the_host_s(runtime):
    mapping = [{"containerID": 0, "hostID": 0, "size": 65536}]
    runtime.config["linux"]["namespaces"].append({"type": "user"})
    runtime.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    done = runtime.run("sh", "-c", "echo x >/dev/null && ls -l /dev/null /dev/zero")
    assert done.stderr == ""
    assert all(line.startswith("crw-rw-rw-") for line in done.stdout.splitlines())


def test_no_pivot(runtime):
    runtime.config["process"]["args"] = ["ls", "/"]
    container = runtime.id("no-pivot")
    runtime.write()
    done = runtime("run", "--no-pivot", container)
    assert set(done.stdout.split()) == {"bin", "dev", "etc", "proc", "sys", "tmp"}


def test_a_container_in_the_host_s_mount_namespace(runtime):
    runtime.config["linux"]["namespaces"] = [
        item for item in runtime.config["linux"]["namespaces"] if item["type"] != "mount"
    ]
    runtime.config["linux"].update(maskedPaths=[], readonlyPaths=[])
    runtime.config["mounts"] = [PROC, DEV, PTS]
    script = 'mount --make-rprivate / && exec "$@"'
    runtime.config["process"]["args"] = ["ls", "/"]
    container = runtime.id("host")
    runtime.write()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *runtime.command, "run", container],
        capture_output=True,
        text=True,
        cwd=runtime.bundle,
    )
    assert set(done.stdout.split()) == {"bin", "dev", "etc", "proc", "sys", "tmp"}, done.stderr


@pytest.mark.parametrize("own", [True, False])
def test_cgroups_are_shown_read_only(runtime, own):
    not_runc(runtime, "it leaves the tmpfs above the hierarchies writable, until 1.2")
    if own:
        runtime.config["linux"]["namespaces"].append({"type": "cgroup"})
    options = ["nosuid", "noexec", "nodev", "ro"]
    runtime.config["mounts"] += [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": options,
        },
    ]
    found = options_of(runtime)
    shown = {place: o for place, o in found.items() if place.startswith("/sys/fs/cgroup")}
    assert shown
    assert all({"ro", "nosuid", "nodev", "noexec"} <= set(o) for o in shown.values()), shown


def test_access_times_of_a_bind_are_the_source_s(runtime, own_tree):
    subprocess.run(["mount", "-o", "remount,bind,noatime", own_tree], check=True)
    for name, options in (("kept", []), ("also", ["nosuid"]), ("own", ["relatime"])):
        runtime.config["mounts"].append(
            {"destination": f"/{name}", "source": str(own_tree), "options": ["bind", *options]}
        )
    found = options_of(runtime)
    assert "noatime" in found["/kept"]
    assert {"noatime", "nosuid"} <= set(found["/also"])
    assert "relatime" in found["/own"]


def test_options_clear_what_the_source_has(runtime, own_tree):
    not_runc(runtime, "it cannot clear a flag of the source, until 1.2")
    subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,noexec", own_tree], check=True)
    for name, options in (("kept", []), ("cleared", ["rw", "suid", "exec"])):
        runtime.config["mounts"].append(
            {"destination": f"/{name}", "source": str(own_tree), "options": ["bind", *options]}
        )
    found = options_of(runtime)
    assert {"ro", "nosuid", "noexec"} <= set(found["/kept"])
    assert not {"ro", "nosuid", "noexec"} & set(found["/cleared"])


def test_mapped_ids(runtime):
    not_runc(runtime, "it has them from 1.2 on")
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    for name in ("one", "two"):
        volume = bind(runtime, "bind", name=name, uidMappings=mapping, gidMappings=mapping)
        (volume / "file").write_text("")
    done = runtime.run("sh", "-c", "ls -ln /one/file /two/file")
    assert [line.split()[2:4] for line in done.stdout.splitlines()] == [["1000", "1000"]] * 2


@pytest.mark.parametrize("kind", ["idmap", "ridmap"])
def test_ids_mapped_by_the_container_s_own_user_namespace(runtime, own_tree, kind):
    not_runc(runtime, "it has them from 1.2 on")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    runtime.config["linux"]["namespaces"].append({"type": "user"})
    runtime.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    os.chown(runtime.rootfs, 100000, 100000)
    (own_tree / "file").write_text("")
    (own_tree / "below/file").write_text("")
    runtime.config["mounts"].append(
        {"destination": "/mnt", "source": str(own_tree), "options": ["rbind", kind]}
    )
    done = runtime.run("sh", "-c", "ls -ln /mnt/file /mnt/below/file")
    below, top = (line.split()[2] for line in done.stdout.splitlines())
    assert top == "0", done.stdout
    assert below == ("0" if kind == "ridmap" else "65534")


def test_a_closed_source_is_opened_for_a_user_namespace(runtime):
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    if runtime.name == "runc":
        pytest.skip(
            "runc reads the root itself as the container's user: pytest's directory is closed"
        )
    runtime.config["linux"]["namespaces"].append({"type": "user"})
    runtime.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
    os.chown(runtime.rootfs, 100000, 100000)
    volume = bind(runtime, "bind")
    (volume / "open").mkdir()
    (volume / "open/file").write_text("seen\n")
    volume.chmod(0o700)
    runtime.config["mounts"][-1].update(source="volume/open")
    assert runtime.run("cat", "/volume/file").stdout == "seen\n"


@pytest.mark.parametrize("mapped", [False, True])
def test_a_source_in_another_mount_namespace(runtime, mapped):
    not_runc(runtime, "it leaves that to the kernel, which refuses it")
    if mapped:
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        runtime.config["linux"]["namespaces"].append({"type": "user"})
        runtime.config["linux"].update(uidMappings=mapping, gidMappings=mapping)
        os.chown(runtime.rootfs, 100000, 100000)
    script = "mount -t tmpfs none /mnt && mkdir /mnt/a && echo there > /mnt/a/file && echo"
    holder = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", f"{script} && exec sleep 100"],
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        bind(runtime, "rbind", "ro", source=f"/proc/{holder.pid}/root/mnt/a")
        done = runtime.run("sh", "-c", "cat /volume/file; touch /volume/file")
        assert (done.stdout, "Read-only" in done.stderr) == ("there\n", True), done.stderr
        runtime.config["mounts"][-1]["source"] += "/missing"
        assert "did not give it: no such file or directory" in runtime.run("true").stderr
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert f"process {holder.pid}, in whose mount namespace it lies" in runtime.run("true").stderr


def test_the_root_is_the_host_s(runtime):
    not_runc(runtime, "pivot_root refuses it")
    runtime.config["root"] = {"path": "/", "readonly": True}
    runtime.config["linux"]["maskedPaths"] = []
    runtime.config["mounts"] = [PROC]
    done = runtime.run("/usr/bin/busybox", "sh", "-c", "touch /usr/x; echo $?")
    assert done.stdout == "1\n", done.stderr


def test_a_mount_namespace_is_joined_by_its_path(runtime):
    not_runc(runtime, "it pivots the root of everybody in there")
    holder = subprocess.Popen(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", "echo; exec sleep 100"],
        stdout=subprocess.PIPE,
    )
    try:
        holder.stdout.readline()
        path = f"/proc/{holder.pid}/ns/mnt"
        for namespace in runtime.config["linux"]["namespaces"]:
            if namespace["type"] == "mount":
                namespace["path"] = path
        done = runtime.run("sh", "-c", "readlink /proc/self/ns/mnt; ls /")
        first, *rest = done.stdout.split()
        assert first == os.readlink(path), done.stderr
        assert set(rest) == {"bin", "dev", "etc", "proc", "sys", "tmp"}
        assert os.path.samefile(f"/proc/{holder.pid}/root", "/")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
