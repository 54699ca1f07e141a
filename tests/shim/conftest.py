"""One spawner and one busybox root file system for all tests of this room."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile

import pytest

from sampan.kit.paths import Paths
from sampan.linux import cgroup
from sampan.shim import protocol, spawn
from tests.shim.engine import Client, Container

_numbers = itertools.count(1)


def oci_config(args: list[str], *, tty: bool = False, **process: object) -> dict:
    return {
        "ociVersion": "1.2.0",
        "root": {"path": "/"},
        "process": {
            "args": args,
            "cwd": "/",
            "env": ["PATH=/bin"],
            "terminal": tty,
            "user": {"uid": 0, "gid": 0},
            **process,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "mode=755", "size=64k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
            },
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]
        },
    }


@pytest.fixture(scope="session")
def rootfs() -> str:
    """A directory with a static busybox under all its names."""
    top = tempfile.mkdtemp(prefix="shim-rootfs-", dir="/tmp")
    for name in ("bin", "proc", "dev", "tmp", "etc"):
        os.mkdir(f"{top}/{name}")
    source = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
    if source is None:
        pytest.skip("busybox-static is not installed")
    shutil.copy(source, f"{top}/bin/busybox")
    applets = "sh cat echo true false sleep stty head yes kill ls mkdir printf seq wc nc dd"
    for name in applets.split(" "):
        os.symlink("busybox", f"{top}/bin/{name}")
    yield top
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def paths() -> Paths:
    top = tempfile.mkdtemp(prefix="shim-test-", dir="/tmp")
    installation = Paths(root=f"{top}/root", run=f"{top}/run")
    spawn.ensure(installation)
    yield installation
    spawn.retire(installation)
    with open(f"{installation.run}/spawner.log") as file:
        assert file.read() == ""  # no monitor and no helper had anything to complain about
    cgroup.manager(installation.cgroup_parent).delete()
    shutil.rmtree(top)


@pytest.fixture
def begin(paths: Paths, rootfs: str):
    """Send a start request; what still runs at the end of the test is killed."""
    containers: list[Container] = []

    def begin(
        args: list[str],
        *clients: Client,
        at: Paths = paths,
        fds: list[int] | None = None,
        log: dict | None = None,
        config: dict | None = None,
        **request: object,
    ) -> Container:
        container = Container(at, f"{next(_numbers):012x}")
        os.makedirs(container.bundle)
        document = config or oci_config(args, tty=bool(request.get("tty")))
        document["root"]["path"] = rootfs
        containers.append(container)
        container.begin(
            list(clients),
            fds or [],
            config=document,
            cgroup=f"{at.cgroup_parent}/{container.id}",
            log=protocol.Log(driver="json-file", path=container.log, **(log or {})),
            **request,
        )
        return container

    yield begin
    for container in containers:
        container.clean_up()


@pytest.fixture
def start(begin):
    """A container that runs."""

    def start(args: list[str], *clients: Client, **request: object) -> Container:
        container = begin(args, *clients, **request)
        container.wait_started()
        return container

    return start


@pytest.fixture
def own_spawner(tmp_path):
    paths = Paths(root=f"{tmp_path}/root", run=f"{tmp_path}/run")
    spawn.ensure(paths)
    yield paths
    spawn.retire(paths)
    cgroup.manager(paths.cgroup_parent).delete()
