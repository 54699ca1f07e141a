import subprocess
import sys


def test_the_kernel_s_side_imports_lightly():
    heavy = {"asyncio", "dataclasses", "logging", "subprocess", "hashlib", "json", "typing"}
    modules = (
        "sampan.linux.cgroup.hybrid, sampan.linux.cgroup.v2, sampan.linux.seccomp, "
        "sampan.linux.proc, sampan.spec.docker_defaults, sampan.spec.docker_seccomp"
    )
    code = f"import sys; sys.path.insert(0, 'src'); import {modules}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert not heavy & set(loaded.stdout.split())
