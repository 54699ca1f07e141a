"""What config.json becomes before anything is done, where no kernel of ours could show it."""

from sampan.runtime import mount_plan
from sampan.spec import oci_runtime

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


def data(kind, *options):
    item = oci_runtime.Mount(destination="/x", type=kind, source=kind, options=options)
    return mount_plan.make(item, "/", label=LABEL).options.data


def test_new_file_systems_get_the_selinux_context_in_quotes():
    assert data("tmpfs", "mode=755") == ("mode=755", f'context="{LABEL}"')
    assert data("devpts") == (f'context="{LABEL}"',)


def test_what_the_kernel_labels_itself_and_bind_mounts_get_none():
    for kind in ("proc", "sysfs", "mqueue", "cgroup", "cgroup2"):
        assert data(kind) == ()
    assert data("bind", "bind") == ()
