"""Docker's default seccomp profile, as facts, and resolved for one container.

    docker_seccomp.profile(capabilities, "amd64", kernel=(6, 1))    # → OCI linux.seccomp

The profile is an allow-list: everything in `ALLOWED`, what a capability brings
(`BY_CAPABILITY`), what an architecture has (`BY_ARCHITECTURE`), and a few calls for some of their
arguments. All else is EPERM. `resolve` does the same for a profile in Docker's JSON form, as
`--security-opt seccomp=FILE` brings it. Source of the facts: moby/profiles, seccomp/default.json.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any

ALLOWED = {
    "files": """
        _llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range
        creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir
        fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock
        fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat
        getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount lseek lstat
        lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2
        pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
        readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat
        stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs
        tee truncate truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes
        vmsplice write writev
    """,
    "memory": """
        brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock
        mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap
        pkey_alloc pkey_free pkey_mprotect remap_file_pages
    """,
    "processes": """
        execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait
        futex_waitv futex_wake get_robust_list get_thread_area getcpu getrandom getrlimit
        getrusage landlock_add_rule landlock_create_ruleset landlock_restrict_self
        pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease restart_syscall
        riscv_hwprobe rseq seccomp set_robust_list set_thread_area set_tid_address setrlimit
        sysinfo ugetrlimit uname uretprobe vfork wait4 waitid waitpid
    """,
    "signals": """
        kill pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
        rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack
        signalfd signalfd4 sigprocmask sigreturn tgkill tkill
    """,
    "time": """
        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64
        clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer
        gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun
        timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
        timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times
    """,
    "ids": """
        capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
        getgroups32 getpgid getpgrp getpid getppid getresgid getresgid32 getresuid
        getresuid32 getsid gettid getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32
        setgid setgid32 setgroups setgroups32 setpgid setregid setregid32 setresgid
        setresgid32 setresuid setresuid32 setreuid setreuid32 setsid setuid setuid32 umask
    """,
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
        recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown
        socketcall socketpair
    """,
    "ipc": """
        ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
        mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget
        semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
    """,
    "events": """
        _newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait
        epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
        io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit poll ppoll
        ppoll_time64 pselect6 pselect6_time64 select
    """,
    "scheduling": """
        getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler
        sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield setpriority
    """,
    "attributes": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr
        listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr
        setxattrat
    """,
}
BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
        umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": """
        kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace
    """,
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
BY_ARCHITECTURE = (
    ({"ppc64le"}, "sync_file_range2 swapcontext"),
    (
        {"arm", "arm64"},
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    ({"amd64", "x32"}, "arch_prctl"),
    ({"amd64", "x32", "x86"}, "modify_ldt"),
    ({"s390", "s390x"}, "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    ({"riscv64"}, "riscv_flush_icache"),
)
# Since this kernel a tracer cannot get around seccomp.
PTRACE_SINCE = (4, 8)
PTRACE = "process_vm_readv process_vm_writev ptrace"
AF_ALG, AF_VSOCK = 38, 40  # refused: kernel crypto's attack surface; a way out to the hypervisor
# PER_LINUX, PER_LINUX32, each also with UNAME26, and "tell me mine".
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF)
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: none of them may be set.
NAMESPACES = 0x7E02_0000

# Go's name (as Docker's platform has it) → OCI architectures, the native one first.
ARCHITECTURES = {
    "amd64": ("X86_64", "X86", "X32"),
    "arm64": ("AARCH64", "ARM"),
    "mips64": ("MIPS64", "MIPS", "MIPS64N32"),
    "mips64le": ("MIPSEL64", "MIPSEL", "MIPSEL64N32"),
    "s390x": ("S390X", "S390"),
    "riscv64": ("RISCV64",),
    "loong64": ("LOONGARCH64",),
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "loongarch64": "loong64"}  # uname -m


def profile(
    capabilities: Iterable[str], arch: str = "x86_64", kernel: tuple[int, int] = (6, 0)
) -> dict[str, Any]:
    """OCI `linux.seccomp` for a container with these capabilities (`CAP_…`, the bounding set).

    `arch` is Go's or uname's name of the machine; `kernel` its (major, minor).
    """
    capabilities, arch = set(capabilities), _MACHINES.get(arch, arch)
    names = set(" ".join(ALLOWED.values()).split())
    if kernel >= PTRACE_SINCE:
        names.update(PTRACE.split())
    for capability, more in BY_CAPABILITY.items():
        if capability in capabilities:
            names.update(more.split())
    for architectures, more in BY_ARCHITECTURE:
        if arch in architectures:
            names.update(more.split())
    rules = [_allow(sorted(names)), *_conditional(capabilities, arch)]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": [f"SCMP_ARCH_{name}" for name in ARCHITECTURES.get(arch, ())],
        "syscalls": rules,
    }


def _conditional(capabilities: Collection[str], arch: str) -> list[dict[str, Any]]:
    rules = [
        _allow(["socket"], _argument(0, "LT", AF_ALG)),
        _allow(["socket"], _argument(0, "EQ", AF_ALG + 1)),
        _allow(["socket"], _argument(0, "GT", AF_VSOCK)),
    ]
    rules += [_allow(["personality"], _argument(0, "EQ", value)) for value in PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        flags = 1 if arch in ("s390", "s390x") else 0  # s390 has clone's stack first
        rules.append(_allow(["clone"], _argument(flags, "MASKED_EQ", NAMESPACES)))
        # A filter cannot look into clone3's struct; with ENOSYS libc falls back on clone.
        clone3 = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}
        rules.append(clone3)
    return rules


def _allow(names: list[str], *args: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return {**rule, "args": list(args)} if args else rule


def _argument(index: int, op: str, value: int) -> dict[str, Any]:
    argument = {"index": index, "value": value, "op": f"SCMP_CMP_{op}"}
    return {**argument, "valueTwo": 0} if op == "MASKED_EQ" else argument


def resolve(
    document: dict[str, Any],
    capabilities: Iterable[str],
    arch: str = "x86_64",
    kernel: tuple[int, int] = (6, 0),
) -> dict[str, Any]:
    """OCI `linux.seccomp` of a profile in Docker's form (archMap, includes, excludes, name)."""
    capabilities, arch = set(capabilities), _MACHINES.get(arch, arch)
    resolved = {k: v for k, v in document.items() if k in _OCI_KEYS and v is not None}
    native = "SCMP_ARCH_" + ARCHITECTURES.get(arch, ("",))[0]
    for entry in document.get("archMap") or ():
        if entry["architecture"] == native:
            resolved["architectures"] = [native, *(entry.get("subArchitectures") or ())]
    syscalls = []
    for rule in document.get("syscalls") or ():
        if not _applies(rule, capabilities, arch, kernel):
            continue
        kept = {k: v for k, v in rule.items() if k in ("action", "errnoRet", "args") and v}
        names = rule.get("names") or [rule["name"]]
        syscalls.append({"names": names, **kept})
    return {**resolved, "syscalls": syscalls}


_OCI_KEYS = {
    "defaultAction",
    "defaultErrnoRet",
    "architectures",
    "flags",
    "listenerPath",
    "listenerMetadata",
}


def _applies(
    rule: dict[str, Any], capabilities: set[str], arch: str, kernel: tuple[int, int]
) -> bool:
    """All that `includes` names holds, nothing that `excludes` names does."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if set(excludes.get("caps") or ()) & capabilities or arch in (excludes.get("arches") or ()):
        return False
    if (least := excludes.get("minKernel")) and kernel >= _version(least):
        return False
    if (least := includes.get("minKernel")) and kernel < _version(least):
        return False
    if (arches := includes.get("arches")) and arch not in arches:
        return False
    return set(includes.get("caps") or ()) <= capabilities


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)
