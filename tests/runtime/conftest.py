"""A root file system of one static busybox, and containers that are certainly removed again."""

import copy
import os
import pathlib
import shutil
import tempfile

import pytest

from sampan.linux import process
from sampan.runtime import create
from sampan.spec import oci_runtime
from tests.conformance.test_oci_runtime import BASE


class Bench:
    def __init__(self, directory):
        self.bundle, self.rootfs, self.made = directory, directory / "rootfs", []
        for path in ("bin", "proc", "dev", "etc", "tmp", "sys"):
            (self.rootfs / path).mkdir(parents=True)
        shutil.copy("/usr/bin/busybox", self.rootfs / "bin/busybox")
        for tool in ("sh", "true", "cat", "sleep", "id", "ls", "tty", "stty", "readlink", "ps"):
            (self.rootfs / "bin" / tool).symlink_to("busybox")
        self.document = copy.deepcopy(BASE)

    def create(self, *args, **options):
        self.document["process"]["args"] = list(args)
        name = f"smp-test-{os.getpid()}-{len(self.made)}"
        chosen = create.Options(container_id=name, bundle=str(self.bundle), **options)
        made = create.create(oci_runtime.parse(self.document), chosen)
        self.made.append(made)
        return made

    def run(self, *args, **options):
        """(wait status as an exit code, output)"""
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        made = self.create(*args, stdio=(null, write, write), **options)
        os.close(write)
        os.close(null)
        try:
            made.wait_ready()
            made.start()
            with open(read, encoding="utf-8", closefd=False) as file:
                output = file.read()
        finally:
            os.close(read)
        return self.wait(made.pid), output

    @staticmethod
    def wait(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def bench():
    # not tmp_path: its parents are closed to the root of a user namespace
    directory = pathlib.Path(tempfile.mkdtemp(prefix="smp-runtime-"))
    directory.chmod(0o755)
    made = Bench(directory)
    yield made
    for created in made.made:
        created.abort()
    shutil.rmtree(directory)
    assert process.prctl(process.PR.GET_DUMPABLE) == 1
