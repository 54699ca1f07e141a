from sampan.spec import docker_defaults, docker_seccomp


def allowed(profile):
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule.get("args")
        for name in rule["names"]
    }


def test_capabilities_open_what_needs_them():
    plain = allowed(docker_seccomp.profile(docker_defaults.CAPABILITIES))
    admin = allowed(docker_seccomp.profile(["CAP_SYS_ADMIN", "CAP_SYS_TIME"]))
    assert "mount" not in plain
    assert {"mount", "unshare", "clone", "clone3", "settimeofday"} <= admin
    assert "chroot" in plain
    assert "chroot" not in admin


def test_old_kernels_do_not_trace():
    assert "ptrace" in allowed(docker_seccomp.profile([], kernel=(4, 8)))
    assert "ptrace" not in allowed(docker_seccomp.profile([], kernel=(4, 7)))


def test_architectures():
    assert docker_seccomp.profile([], "aarch64")["architectures"] == [
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
    ]
    assert "arch_prctl" in allowed(docker_seccomp.profile([], "amd64"))
    assert "arch_prctl" not in allowed(docker_seccomp.profile([], "arm64"))


def test_a_document_in_dockers_form():
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_X"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"name": "old", "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}},
        ],
    }
    resolved = docker_seccomp.resolve(document, ["CAP_X"], kernel=(4, 4))
    assert resolved["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert "archMap" not in resolved
    assert [rule["names"] for rule in resolved["syscalls"]] == [["read"], ["mount"]]
    assert len(docker_defaults.CAPABILITIES) == 14
