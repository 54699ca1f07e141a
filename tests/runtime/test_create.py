"""create: namespaces, rootfs, terminal, init, and what an image may try against us."""

import os
import socket

import pytest

from sampan.linux import capabilities, pty
from sampan.runtime import errors
from sampan.runtime import exec as exec_verb
from sampan.spec import oci_runtime

pytestmark = pytest.mark.needs("mount")


def test_overlay_of_more_layers_than_fit_into_a_page(bench):
    layers = [bench.rootfs]
    for number in range(60):
        layer = bench.bundle / ("layer-" + "x" * 60) / str(number)
        layer.mkdir(parents=True)
        (layer / f"file{number}").touch()
        layers.append(layer)
    for name in ("upper", "work", "merged"):
        (bench.bundle / name).mkdir()
    options = (
        f"lowerdir={':'.join(map(str, layers))}",
        f"upperdir={bench.bundle}/upper",
        f"workdir={bench.bundle}/work",
    )
    bench.document["root"]["path"] = "merged"
    rootfs = oci_runtime.Mount(destination="/", type="overlay", source="overlay", options=options)
    code, output = bench.run("sh", "-c", "ls / > /seen; ls /file*", rootfs=(rootfs,))
    assert code == 0 and len(output.split()) == 60
    assert (bench.bundle / "upper/seen").exists()
    with open("/proc/mounts") as file:
        assert str(bench.bundle) not in file.read()


def test_nothing_of_the_image_is_imported(bench):
    evil = "import os; os.write(2, b'owned'); os._exit(66)\n"
    for name in ("warnings", "traceback", "subprocess", "encodings/__init__", "json/__init__"):
        for place in ("", "usr/lib/python3.11/", *(p.strip("/") + "/" for p in os.sys.path if p)):
            path = bench.rootfs / place / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(evil)
    assert bench.run("true") == (0, "")
    with pytest.raises(errors.CommandNotFound):
        bench.run("nope")
    with pytest.raises(errors.MountFailed, match="no-such-fs"):
        bench.document["mounts"].append({"destination": "/x", "type": "no-such-fs"})
        bench.run("true")


def test_an_import_inside_the_child_is_refused():
    pid = os.fork()
    if pid == 0:
        from sampan.runtime import init

        init.lock_imports()
        try:
            import this  # noqa: F401
        except ImportError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_linked_dev_makes_no_nodes_elsewhere(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bench.rootfs / "dev").rmdir()
    (bench.rootfs / "dev").symlink_to(outside)
    bench.document["mounts"] = bench.document["mounts"][:1]
    with pytest.raises(errors.UnsafePath):
        bench.run("true")
    assert not list(outside.iterdir())


def test_bind_destination_cannot_leave_the_root(bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bench.rootfs / "link").symlink_to(outside)
    (bench.rootfs / "up").symlink_to("../../../..")
    for destination in ("/link/a", f"/up{outside}/b"):
        mount = {"destination": destination, "type": "bind", "source": "/tmp", "options": ["bind"]}
        bench.document["mounts"].append(mount)
    assert bench.run("true")[0] == 0
    assert not list(outside.iterdir())


@pytest.mark.parametrize("place", ["/proc", "/proc/self/attr", "/proc/sys"])
def test_proc_cannot_be_covered(bench, place):
    bench.document["mounts"].append({"destination": place, "type": "tmpfs", "source": "t"})
    with pytest.raises(errors.UnsafePath, match="/proc"):
        bench.run("true")


def test_descriptors_do_not_leak_and_cwd_cannot_use_them(bench):
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        # 3 is the directory that `ls` itself has open
        assert bench.run("ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]
        for number in range(3, leak + 3):
            bench.document["process"]["cwd"] = f"/proc/self/fd/{number}"
            with pytest.raises((errors.InvalidConfig, errors.UnsafePath, errors.StartFailed)):
                bench.run("true")
    finally:
        os.close(leak)


def test_errors_of_the_command(bench):
    script = bench.rootfs / "script"
    script.write_text("#!/no/such/interpreter\n")
    with pytest.raises(errors.CommandNotExecutable, match='exec: "/script": permission denied'):
        bench.run("/script")
    script.chmod(0o755)
    with pytest.raises(errors.CommandNotFound, match="exec /script: no such file or directory"):
        bench.run("/script")
    script.write_text("\x7fnonsense")
    with pytest.raises(errors.CommandNotExecutable, match="exec format error"):
        bench.run("/script")
    with pytest.raises(errors.CommandNotExecutable, match="is a directory"):
        bench.run("/bin")


def test_limit_that_cannot_be_raised_says_so(bench):
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    above = {"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}
    bench.document["process"]["rlimits"] = [above]
    if capabilities.bounding() & capabilities.BITS["CAP_SYS_RESOURCE"]:
        assert bench.run("true")[0] == 0
        return
    with pytest.raises(errors.NotPermitted, match=r"RLIMIT_NOFILE.*CAP_SYS_RESOURCE"):
        bench.run("true")


def test_terminal(bench):
    ours, theirs = socket.socketpair()
    bench.document["process"].update(terminal=True, consoleSize={"height": 33, "width": 99})
    made = bench.create("sh", "-c", "tty; stty size; ls -l /dev/console", console=theirs)
    theirs.close()
    made.wait_ready()
    _, (master,), _, _ = socket.recv_fds(ours, 100, 1)
    ours.close()
    assert pty.size(master) == (33, 99)
    made.start()
    output = b""
    try:
        while data := os.read(master, 4096):
            output += data
    except OSError:  # EIO: everybody has closed the other side
        pass
    os.close(master)
    assert b"/dev/pts/0\r\n33 99\r\n" in output and b"136," in output
    assert bench.wait(made.pid) == 0


def test_init_reaps_orphans_and_passes_on_code_and_signals(bench):
    script = "(sleep 0.01 & ) ; trap 'exit 9' USR1; echo up; while :; do sleep 0.01; done"
    read, write = os.pipe()
    made = bench.create("sh", "-c", script, init=True, stdio=(read, write, write))
    made.wait_ready()
    made.start()
    os.close(write)
    assert os.read(read, 3) == b"up\n"
    os.kill(made.pid, 10)
    os.close(read)
    assert bench.wait(made.pid) == 9
    assert bench.run("sh", "-c", "kill -9 $$", init=True)[0] == 137
    with pytest.raises(errors.CommandNotFound):
        bench.run("nope", init=True)


@pytest.mark.needs("userns")
def test_user_namespace(bench):
    linux = bench.document["linux"]
    linux["namespaces"].append({"type": "user"})
    for kind in ("uid", "gid"):
        linux[f"{kind}Mappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    code, output = bench.run("sh", "-c", "id; cat /proc/self/uid_map; echo x > /dev/null")
    assert code == 0 and output.startswith("uid=0 gid=0"), output
    assert output.split()[2:5] == ["0", "100000", "1000"], output


def test_exec_joins_and_namespaces_can_be_joined_by_path(bench):
    bench.document["hostname"] = "first"
    first = bench.create("sleep", "100")
    first.wait_ready()
    first.start()
    read, write = os.pipe()
    made = exec_verb.exec_process(
        exec_verb.Target(pid=first.pid, manager=first.manager),
        oci_runtime.Process(args=("sh", "-c", "readlink /proc/self/ns/net; ps")),
        stdio=(read, write, write),
    )
    os.close(write)
    assert made.pid in first.manager.pids()
    made.wait_ready()
    made.start()
    with open(read, encoding="utf-8") as file:
        output = file.read()
    assert bench.wait(made.pid) == 0
    assert output.startswith(os.readlink(f"/proc/{first.pid}/ns/net"))
    assert "sleep 100" in output

    spaces = bench.document["linux"]["namespaces"]
    for item in spaces:
        if item["type"] in ("pid", "network", "ipc"):
            file = {"network": "net"}.get(item["type"], item["type"])
            item["path"] = f"/proc/{first.pid}/ns/{file}"
    bench.document["hostname"] = "second"
    code, output = bench.run("sh", "-c", "ps; readlink /proc/self/ns/net")
    assert code == 0 and "sleep 100" in output
    assert os.readlink(f"/proc/{first.pid}/ns/net") in output
    spaces[0]["path"] = f"/proc/{first.pid}/ns/uts"
    with pytest.raises(errors.InvalidConfig, match="is no pid namespace"):
        bench.run("true")


def test_abort_leaves_nothing(bench):
    made = bench.create("true")
    paths = [path for path in made.manager.paths().values() if path]
    made.wait_ready()
    made.abort()
    with pytest.raises(ProcessLookupError):
        os.kill(made.pid, 0)
    assert not any(map(os.path.exists, paths))
