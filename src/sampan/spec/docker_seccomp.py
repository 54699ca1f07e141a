"""Docker's default seccomp profile: what a container may ask of the kernel.

The facts are moby's (profiles/seccomp, API 1.51's time): what is listed is allowed, everything
else answers EPERM, and `clone3` ENOSYS, so that libcs fall back to `clone`, whose flags a filter can
see. io_uring has been outside since Docker 25. The arrangement is by what the calls are about.

    profile(capabilities) → `linux.seccomp` of an OCI config.json
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

EPERM, ENOSYS = 1, 38

FILES = """
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock fremovexattr fsetxattr
fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents
getdents64 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek
lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2
pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat
splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate
truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
fanotify_mark cachestat statmount listmount
"""

MEMORY = """
brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
process_mrelease remap_file_pages shmat shmctl shmdt shmget
"""

PROCESSES = """
capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getegid
getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid
getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid
getuid32 ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
lsm_get_self_attr lsm_list_modules lsm_set_self_attr pause pidfd_open pidfd_send_signal prctl
prlimit64 restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid
setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid
setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid
setuid32 sigaltstack signalfd signalfd4 sigprocmask sigreturn sysinfo tgkill times tkill ugetrlimit
uname uretprobe vfork wait4 waitid waitpid process_vm_readv process_vm_writev ptrace
"""

WAITING_AND_TIME = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 epoll_create epoll_create1 epoll_ctl
epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex futex_requeue
futex_time64 futex_wait futex_waitv futex_wake getitimer getrandom gettimeofday io_cancel io_destroy
io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit nanosleep _newselect poll ppoll
ppoll_time64 pselect6 pselect6_time64 select setitimer time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""

TALKING = """
accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr mq_notify
mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl
msgget msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl semget semop semtimedop
semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""

# Machine (uname -m) → its own calls, and the filter's architectures.
MACHINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "x86_64": ("arch_prctl modify_ldt", ("X86_64", "X86", "X32")),
    "i686": ("modify_ldt", ("X86",)),
    "aarch64": (
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
        ("AARCH64", "ARM"),
    ),
    "armv7l": (
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
        ("ARM",),
    ),
    "ppc64le": ("sync_file_range2 swapcontext", ("PPC64LE",)),
    "s390x": ("s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr", ("S390X", "S390")),
    "riscv64": ("riscv_flush_icache riscv_hwprobe", ("RISCV64",)),
}

WITH_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        mount mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd
        setdomainname sethostname setns syslog umount umount2 unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag that clone(2) takes
AF_VSOCK = 40
PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, 32-bit, UNAME26, both, "tell me"


def profile(capabilities: Iterable[str], machine: str = "x86_64") -> dict[str, Any]:
    """The profile for a container with these capabilities (CAP_…), as OCI `linux.seccomp`."""
    granted = set(capabilities)
    own, architectures = MACHINES.get(machine, ("", ()))
    allowed: set[str] = set()
    for group in (FILES, MEMORY, PROCESSES, WAITING_AND_TIME, TALKING, own):
        allowed.update(group.split())
    for capability in sorted(granted & WITH_CAPABILITY.keys()):
        allowed.update(WITH_CAPABILITY[capability].split())
    rules = [_rule(sorted(allowed)), _rule(["socket"], index=0, op="NE", value=AF_VSOCK)]
    rules += [_rule(["personality"], index=0, op="EQ", value=value) for value in PERSONALITIES]
    if "CAP_SYS_ADMIN" not in granted:
        flags_at = 1 if machine == "s390x" else 0
        rules.append(_rule(["clone"], index=flags_at, op="MASKED_EQ", value=NEW_NAMESPACES, two=0))
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [f"SCMP_ARCH_{name}" for name in architectures],
        "syscalls": rules,
    }


def _rule(
    names: list[str], *, index: int = -1, op: str = "", value: int = 0, two: int | None = None
) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if op:
        test: dict[str, Any] = {"index": index, "value": value, "op": f"SCMP_CMP_{op}"}
        if two is not None:
            test["valueTwo"] = two
        rule["args"] = [test]
    return rule
