# What `./do test --vm` runs when it is told nothing else: what another kernel, cgroup v2, AppArmor or
# systemd could make different, the engine first. Each list is to end in a quarter of an hour.
# Everything else runs there by its name: ./do test --vm tests/ROOM
plain=(
  tests/dockerapi/test_cgroup2.py tests/dockerapi/test_apparmor.py
  tests/dockerapi/test_containers.py tests/dockerapi/test_survival.py tests/dockerapi/test_mounts.py
  tests/shim/test_cgroup_and_pids.py tests/voyage/test_own_cgroup.py
  tests/network/test_bridge.py tests/voyage/test_network.py
  tests/image/test_erofs.py
  tests/linux/test_cgroup.py tests/linux/test_cgroup_values.py tests/linux/test_mount.py
  tests/runtime/test_cgroup_v2.py
  tests/conformance/test_oci_memory.py tests/conformance/test_oci_limits.py
)
systemd=(
  tests/dockerapi/test_systemd_driver.py tests/voyage/test_systemd.py tests/voyage/test_own_cgroup.py
  tests/linux/test_cgroup_systemd.py tests/conformance/test_oci_systemd.py
  tests/dockerapi/test_cgroup2.py tests/dockerapi/test_apparmor.py
  tests/runtime/test_rootless.py
)
