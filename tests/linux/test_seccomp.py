"""Filters on real processes: what is allowed works, what is not fails as the profile says."""

import ctypes
import errno
import os
import socket

import pytest

from sampan.linux import libseccomp, seccomp
from sampan.spec import docker_defaults, docker_seccomp

CLONE_NEWUSER, CLONE_NEWNS = 0x1000_0000, 0x0002_0000
NR = {"keyctl": 250, "clone3": 435, "mount": 165, "unshare": 272, "personality": 135, "ptrace": 101}
DEFAULT = docker_defaults.CAPABILITIES

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")


def under(profile, body):
    """The exit code of a child that puts the profile on and runs body; -signal if it was killed."""
    program, flags = seccomp.compile(profile), seccomp.flags(profile)
    pid = os.fork()
    if pid == 0:
        code = 250
        try:
            seccomp.no_new_privs()
            seccomp.load(program, flags)
            code = body()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def call(number, *args):
    """errno of a raw system call, 0 when it worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: 0 if libc.syscall(number, *map(ctypes.c_long, args)) >= 0 else ctypes.get_errno()


@pytest.mark.parametrize(
    ("capabilities", "number", "args", "expected"),
    [
        (DEFAULT, NR["mount"], (0, 0, 0, 0, 0), errno.EPERM),
        (DEFAULT, NR["unshare"], (CLONE_NEWUSER,), errno.EPERM),
        (DEFAULT, NR["keyctl"], (0, 0), errno.EPERM),
        (DEFAULT, NR["clone3"], (0, 0), errno.ENOSYS),
        (DEFAULT, 100_000, (), errno.ENOSYS),
        (DEFAULT, 0x4000_0000 + 100_000, (), errno.ENOSYS),
        (DEFAULT, NR["personality"], (0x0004_0000,), errno.EPERM),
        (DEFAULT, NR["personality"], (0xFFFF_FFFF,), 0),
        (DEFAULT, NR["ptrace"], (99, 0, 0, 0), errno.ESRCH),
        ((*DEFAULT, "CAP_SYS_ADMIN"), NR["mount"], (0, 0, 0, 0, 0), errno.EFAULT),
        ((*DEFAULT, "CAP_SYS_ADMIN"), NR["clone3"], (0, 0), errno.EINVAL),
    ],
)
def test_dockers_profile(capabilities, number, args, expected):
    assert under(docker_seccomp.profile(capabilities), call(number, *args)) == expected


def test_ordinary_work_is_allowed():
    def body():
        pid = os.fork()
        if pid == 0:
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        a, b = socket.socketpair()
        a.send(b"x")
        return len(b.recv(1)) + len(os.listdir("/proc")) * 0

    assert under(docker_seccomp.profile(DEFAULT), body) == 1


@pytest.mark.parametrize("family", [docker_seccomp.AF_ALG, docker_seccomp.AF_VSOCK])
def test_families_that_reach_too_far(family):
    def body():
        try:
            socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            return error.errno or 0
        return 0

    assert under(docker_seccomp.profile(DEFAULT), body) == errno.EPERM


def test_a_new_user_namespace_by_clone_is_refused():
    sigchld = 17
    number_of_clone = 56
    profile = docker_seccomp.profile(DEFAULT)
    refused = call(number_of_clone, CLONE_NEWUSER | sigchld, 0, 0, 0, 0)
    assert under(profile, refused) == errno.EPERM


def allow_all(*rules, **more):
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 77}, 77),
        ({"action": "SCMP_ACT_ERRNO"}, errno.EPERM),
        ({"action": "SCMP_ACT_KILL_PROCESS"}, -31),
        ({"action": "SCMP_ACT_TRAP"}, -31),
        ({"action": "SCMP_ACT_LOG"}, 0),
    ],
)
def test_actions(action, expected):
    profile = allow_all({"names": ["getppid"], **action})
    assert under(profile, call(110)) == expected


@pytest.mark.parametrize(
    ("op", "value", "value_two", "matches"),
    [
        ("NE", 5, 0, False), ("NE", 6, 0, True), ("LT", 5, 0, False), ("LT", 6, 0, True),
        ("LE", 5, 0, True), ("EQ", 5, 0, True), ("GE", 6, 0, False), ("GT", 4, 0, True),
        ("MASKED_EQ", 4, 4, True), ("MASKED_EQ", 3, 3, False),
    ],
)  # fmt: skip
def test_operators_on_the_argument_5(op, value, value_two, matches):
    argument = {"index": 0, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": value_two}
    rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": [argument]}
    number_of_close = 3
    assert under(allow_all(rule), call(number_of_close, 5)) in (
        (99,) if matches else (0, errno.EBADF)
    )


def test_an_index_named_twice_means_either():
    args = [{"index": 0, "op": "SCMP_CMP_EQ", "value": n} for n in (900, 901)]
    rule = {"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": args}
    assert under(allow_all(rule), call(3, 901)) == 99


def test_a_new_system_call_is_not_there():
    """EPERM is for what the profile's author knew."""
    names = ["exit_group", "exit", "write", "read", "close", "munmap", "futex", "rt_sigreturn"]
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}],
    }
    newest = 231  # exit_group
    assert under(profile, call(newest + 1)) == errno.ENOSYS
    assert under(profile, call(110)) == errno.EPERM


def test_names_that_nobody_knows_are_passed_over():
    rule = {"names": ["no_such_call", "getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9}
    assert under(allow_all(rule), call(110)) == 9


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"defaultAction": "SCMP_ACT_NONE"}, "unknown action 'SCMP_ACT_NONE'"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "takes no errnoRet"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}, "unknown architecture 'X'"),
    ],
)
def test_profiles_that_are_wrong(profile, message):
    with pytest.raises(seccomp.InvalidProfile, match=message):
        seccomp.compile(profile)


def test_flags():
    assert seccomp.flags({}) == 4
    assert seccomp.flags({"flags": ["SECCOMP_FILTER_FLAG_LOG"]}) == 2
    with pytest.raises(seccomp.InvalidProfile):
        seccomp.flags({"flags": ["X"]})


def test_a_cached_program_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(seccomp, "_memory", {})
    profile = docker_seccomp.profile(DEFAULT)
    program = seccomp.compile(profile, cache=str(tmp_path / "cache"))
    seccomp._memory.clear()
    monkeypatch.setattr(libseccomp, "compile", lambda _: pytest.fail("compiled again"))
    assert seccomp.compile(profile, cache=str(tmp_path / "cache")) == program
    (file,) = (tmp_path / "cache").iterdir()
    file.chmod(0o666)
    seccomp._memory.clear()
    with pytest.raises(pytest.fail.Exception):  # anybody could have written it
        seccomp.compile(profile, cache=str(tmp_path / "cache"))
