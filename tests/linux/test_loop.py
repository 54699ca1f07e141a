import os

import pytest

from sampan.linux import loop, mount

pytestmark = pytest.mark.needs("mount", "loop")


def test_a_dev_without_the_kernel_s_nodes_gets_the_one_it_lacks(own_mounts, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"shown" + bytes(4091))

    def body():
        control = os.stat("/dev/loop-control").st_rdev
        mount.mount("tmpfs", "/dev", "tmpfs")
        os.mknod("/dev/loop-control", 0o20600, control)
        with open(image, "rb") as file:
            path, device = loop.attach(file.fileno())
        assert os.pread(device, 5, 0) == b"shown"
        assert sorted(os.listdir("/dev")) == ["loop-control", os.path.basename(path)]

    own_mounts(body)
