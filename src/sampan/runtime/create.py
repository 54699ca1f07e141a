"""Create a container: one clone3 into its namespaces, then its PID 1 builds the rest from within.

    created = create(config, Options(container_id="web", bundle="/run/web"))
    ...                        # the root file system is being made meanwhile
    created.wait_ready()       # createRuntime hooks run here, in the caller
    created.start()            # returns once the command runs

PID 1 is a child of the caller in any case: where a process in between is needed (a user namespace
to join), it clones with CLONE_PARENT. The caller must have one thread only.
"""

from __future__ import annotations

import errno
import os

from sampan.kit.record import Record
from sampan.linux import namespaces, process, signals
from sampan.linux.mount import MS
from sampan.linux.namespaces import CLONE
from sampan.linux.process import PR
from sampan.runtime import cgroups, credentials, errors, hooks, init
from sampan.runtime import channel as channels
from sampan.runtime import mounts as container_mounts
from sampan.runtime import plan as plans
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.channel import Channel
    from sampan.runtime.sources import Server


class Options(Record):
    container_id: str
    bundle: str  # what relative paths in config.json start from
    stdio: tuple[int, int, int] | None = None  # become 0, 1, 2 (without a terminal)
    console: Any = None  # a socket: the terminal's master is sent over it (SCM_RIGHTS)
    rootfs: tuple[oci_runtime.Mount, ...] = ()  # mounted at root.path, first of all
    cgroup: str = ""  # overrides linux.cgroupsPath
    init: bool = False  # PID 1 is a small reaper of ours, the process its child
    preserve_fds: int = 0  # so many descriptors from 3 on stay open
    gate: int = -1  # a listening SOCK_SEQPACKET: `start` comes over it, the caller may go
    pdeathsig: int = 0  # sent to PID 1 when the caller ends
    no_pivot: bool = False
    new_keyring: bool = True


class Created:
    """A container whose PID 1 exists. `manager` is its cgroup."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        channel: Channel,
        manager: Manager | None,
        run_hooks: Callable[[], None] | None = None,
        *,
        owns_cgroup: bool = True,
    ) -> None:
        self.pid, self.pidfd, self.manager = pid, pidfd, manager
        self._channel, self._run_hooks, self._owns_cgroup = channel, run_hooks, owns_cgroup
        self.sources: Server | None = None
        self.agent: tuple[str, str] | None = None  # of seccomp
        self.state: dict[str, Any] = {}

    def fileno(self) -> int:
        """Readable when PID 1 has something to say."""
        return self._channel.fd

    def send_go(self) -> None:
        """It is in its cgroup and its ids are mapped: let it prepare itself."""
        self._channel.send("go")

    def wait_joined(self) -> None:
        """It is in its cgroup."""
        message = self._channel.receive()
        if message[:1] != ("joined",):
            raise self._failure(message)

    def wait_ready(self) -> None:
        """Block until root file system and hooks are done; raises a runtime error."""
        try:
            while True:
                message = self._channel.receive()
                if message[:1] == ("ready",):
                    return
                if message[:1] == ("source",) and self.sources:
                    self.sources.serve(message[1])
                    continue
                if message[:1] == ("seccomp",) and self.agent:
                    self._hand_over(self.agent, int(message[1]))
                    continue
                if message[:1] != ("hooks",):
                    raise self._failure(message)
                if self._run_hooks:
                    self._run_hooks()
                self._channel.send("hooks")
        except BaseException:
            self.abort()
            raise
        finally:
            if self.sources:
                self.sources.close()

    def _hand_over(self, agent: tuple[str, str], fd: int) -> None:
        from sampan.runtime import listener

        listener.hand_over(agent, self.pid, self.pidfd, fd, self.state)
        self._channel.send("seccomp")

    def start(self) -> None:
        """Let it execute its command; returns after a successful execve, raises otherwise."""
        try:
            self._channel.send("start")
            message = self._channel.receive()
            if message:
                raise self._failure(message)
        except OSError as error:
            self.abort()
            raise self._failure(()) from error
        except BaseException:
            self.abort()
            raise
        self._channel.close()

    def abort(self) -> None:
        """Kill it and undo everything; may be called more than once."""
        if self.pidfd >= 0:
            try:
                signals.send(self.pidfd, 9)
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            except (ProcessLookupError, ChildProcessError):
                pass
            os.close(self.pidfd)
            self.pidfd = -1
        self._channel.close()
        if self.manager and self._owns_cgroup:
            self.manager.kill()
            self.manager.delete()
            self.manager = None

    @staticmethod
    def _failure(message: tuple[str, ...]) -> Exception:
        if message[:1] == ("error",) and len(message) == 3:
            return errors.by_name(message[1], message[2])
        return errors.StartFailed("the container's process ended before it ran its command")


def create(config: oci_runtime.Config, options: Options) -> Created:
    """Returns as soon as the namespaces exist and PID 1 sits in its cgroup."""
    plan = make_plan(config, options)
    manager = None
    try:
        manager = _cgroup(config, options)
        return _spawn(config, plan, options, manager)
    except BaseException:
        if manager:
            manager.delete()
        raise
    finally:
        for _kind, fd in plan.joined:
            os.close(fd)


def make_plan(config: oci_runtime.Config, options: Options) -> plans.Plan:
    """Check all that can be checked before anything happens; raises InvalidConfig."""
    if config.root is None:
        raise errors.InvalidConfig("root is missing")
    if config.process is None:
        raise errors.InvalidConfig("process is missing")
    linux = config.linux
    if config.hooks is not oci_runtime.Config.hooks:
        hooks.check(config.hooks)
    if os.geteuid():
        from sampan.runtime import rootless

        rootless.check(config)
    if options.preserve_fds:
        _check_preserved(options.preserve_fds)
    new, joined = plans.make_namespaces(linux)
    kinds = {item.type for item in linux.namespaces}
    own_users = "user" in kinds
    root = _root(config.root.path, options.bundle)
    mounts = tuple(
        [
            plans.make_mount(m, options.bundle, root=root, user_namespace=own_users)
            for m in config.mounts
        ]
    )
    _check(config, kinds)
    _check_console(config.process, options)
    time_offsets, net_devices = _special(config)
    return plans.Plan(
        process=plans.make_process(
            config.process,
            linux.seccomp,
            user_namespace="user" in kinds,
            preserve_fds=options.preserve_fds,
            pdeathsig=options.pdeathsig,
            init=options.init,
            new_keyring=f"_ses.{options.container_id}" if options.new_keyring else "",
            linux=linux,
        ),
        root=root,
        root_readonly=config.root.readonly,
        rootfs=tuple(
            [plans.make_mount(m, options.bundle, user_namespace=own_users) for m in options.rootfs]
        ),
        mounts=mounts,
        devices=plans.make_devices(linux.devices),
        host_dev=any(m.destination == "/dev" and m.options.flags & MS.BIND for m in mounts),
        masked_paths=linux.masked_paths,
        readonly_paths=linux.readonly_paths,
        propagation=linux.rootfs_propagation,
        hostname=config.hostname,
        domainname=config.domainname,
        sysctl=plans.make_sysctl(linux.sysctl, linux),
        new=new,
        joined=joined,
        user_namespace="user" in kinds,
        own_cgroup_namespace="cgroup" in kinds,
        no_pivot=options.no_pivot,
        time_offsets=time_offsets,
        net_devices=net_devices,
        hooks=config.hooks,
        state=state_document(config, options),
    )


def _check(config: oci_runtime.Config, kinds: set[str]) -> None:
    """What fits together only with the namespaces that the container has."""
    linux = config.linux
    for name, needed in ((config.hostname, "hostname"), (config.domainname, "domainname")):
        if name and "uts" not in kinds:
            raise errors.InvalidConfig(f"{needed} needs a uts namespace of the container")
    if "mount" not in kinds and (linux.masked_paths or linux.readonly_paths):
        raise errors.InvalidConfig(
            "linux.maskedPaths and readonlyPaths need a mount namespace of the container"
        )
    propagation = linux.rootfs_propagation
    if propagation and propagation.lstrip("r") not in ("shared", "slave", "private", "unbindable"):
        raise errors.InvalidConfig(f"linux.rootfsPropagation: {propagation!r} is unknown")


def _special(config: oci_runtime.Config) -> tuple[str, tuple[tuple[str, str], ...]]:
    linux = config.linux
    if linux.time_offsets or linux.net_devices or linux.intel_rdt or linux.mount_label:
        from sampan.runtime import special

        return special.make(config)
    return "", ()


def _root(path: str, bundle: str) -> str:
    """The root's real path: below the bundle, no link may choose which directory it is."""
    real = os.path.realpath(bundle)
    root = os.path.normpath(os.path.join(real, path))
    if not path.startswith("/") and os.path.realpath(root) != root:
        raise errors.InvalidConfig(f"root.path {path}: a part of it is a symbolic link")
    if os.path.islink(root):
        raise errors.InvalidConfig(f"root.path {path} is a symbolic link")
    return os.path.realpath(root)


def _check_preserved(count: int) -> None:
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise errors.InvalidConfig(f"--preserve-fds: descriptor {fd} is not open") from None


def _check_console(spec: oci_runtime.Process, options: Options) -> None:
    if spec.terminal and options.console is None:
        raise errors.InvalidConfig("cannot allocate tty if there is no console socket")


def state_document(config: oci_runtime.Config, options: Options) -> dict[str, Any]:
    """The specification's state, as hooks get it; status and pid are added when they run."""
    state: dict[str, Any] = {
        "ociVersion": oci_runtime.VERSION,
        "id": options.container_id,
        "status": "creating",
        "pid": 0,
        "bundle": options.bundle,
    }
    if config.annotations:
        state["annotations"] = config.annotations
    return state


def _cgroup(config: oci_runtime.Config, options: Options) -> Manager:
    path = cgroups.path_of(config, options.container_id, options.cgroup)
    manager = cgroups.manager(config, path)
    cgroups.check_unused(manager)
    try:
        manager.create()
    except PermissionError:
        if not os.geteuid() or config.linux.cgroups_path:
            raise
        from sampan.runtime import rootless

        manager = rootless.no_cgroup()
    try:
        manager.apply(_resources(config))
    except BaseException:
        manager.delete()
        raise
    return manager


# What every container may use, whatever its rules say: making any node, and the default devices
_ALLOWED = tuple(
    {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    for kind, major, minor, access in (
        *(("c", -1, -1, "m"), ("b", -1, -1, "m")),
        *(("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
        *(("c", 5, 0, "rwm"), ("c", 5, 2, "rwm"), ("c", 136, -1, "rwm")),
    )
)


def _resources(config: oci_runtime.Config) -> dict[str, Any]:
    """The limits, and where devices are ruled, the exceptions that the specification promises."""
    resources = config.linux.resources
    rules = resources.get("devices")
    if not rules:
        return resources
    return {**resources, "devices": [*rules, *_ALLOWED]}


def _spawn(
    config: oci_runtime.Config, plan: plans.Plan, options: Options, manager: Manager
) -> Created:
    ours, theirs = channels.pair()
    wires = init.Wires(
        theirs,
        gate=options.gate,
        stdio=options.stdio,
        console=options.console.fileno() if options.console is not None else -1,
    )
    wires.cgroups, unified = _open_cgroups(manager)
    need_sources = container_mounts.load_rare(plan)
    if need_sources:
        from sampan.runtime import sources

        wires.idmaps = sources.open_namespaces(plan)
    try:
        pid, pidfd = clone(
            plan.new & ~(CLONE.NEWCGROUP | CLONE.NEWTIME),
            lambda: init.run(plan, wires),
            user=plan.joins("user"),
            pids=plan.joins("pid"),
            cgroup=unified,
            early=_early(plan, wires),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for fd in (*wires.cgroups, unified):
            if fd >= 0:
                os.close(fd)

    def run_hooks() -> None:
        state = {**plan.state, "pid": pid}
        hooks.run_all(plan.hooks.prestart, "prestart", state)
        hooks.run_all(plan.hooks.create_runtime, "createRuntime", state)

    created = Created(pid, pidfd, ours, manager, run_hooks)
    if need_sources:
        from sampan.runtime import sources

        created.sources = sources.Server(plan, pid, wires.idmaps, ours)
    created.agent, created.state = plan.process.listener, {**plan.state, "pid": pid}
    try:
        if plan.new & CLONE.NEWUSER:
            _map_ids(config.linux, pid)
        free_cpus(pid)
        settle(plan.process, pid, manager if plan.joins("user") >= 0 else None)
        if plan.net_devices:
            from sampan.runtime import special

            special.move_devices(plan, pid)
        created.send_go()
        created.wait_joined()
        manager.occupied()
    except BaseException:
        created.abort()
        raise
    return created


def _early(plan: plans.Plan, wires: init.Wires) -> Callable[[], None] | None:
    """With a user namespace: join first what may belong to the host and not to that one."""
    kinds = [kind for kind, _fd in plan.joined if kind not in ("user", "pid", "mount")]
    if not (plan.user_namespace and kinds):
        return None

    def join() -> None:
        for kind in kinds:
            try:
                namespaces.setns(plan.joins(kind), namespaces.FLAGS[kind])
            except PermissionError:  # it is the other one's: from inside, then
                continue
            wires.joined.add(kind)

    return join


def _open_cgroups(manager: Manager) -> tuple[list[int], int]:
    """(`tasks` of each v1 hierarchy for the child to write itself into, v2 directory for clone3).

    Moving another process takes a lock that waits for all CPUs (percpu_down_write, 10 to 20 ms when
    it is cold); a thread that moves itself, and a clone into a cgroup, need none.
    """
    tasks, unified = [], -1
    for controller, directory in manager.paths().items():
        if controller:
            tasks.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
        elif directory:
            unified = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return tasks, unified


def free_cpus(pid: int) -> None:
    """The caller may be bound to a few CPUs; the container is bound by its cgroup alone."""
    count = os.cpu_count() or 1
    if len(os.sched_getaffinity(0)) < count:
        try:
            os.sched_setaffinity(pid, range(count))
        except OSError:  # not ours to insist
            pass


def settle(plan: plans.ProcessPlan, pid: int, manager: Manager | None) -> None:
    """What only the caller can do to the new process, from the host's side."""
    if manager:
        manager.add(pid)
    if plan.oom_score_adj is not None:
        credentials.set_oom_score(pid, plan.oom_score_adj)
    credentials.set_rlimits(pid, plan.rlimits)


def _map_ids(linux: oci_runtime.Linux, pid: int) -> None:
    for kind, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        triples = plans.triples(mappings)
        if not triples:
            raise errors.InvalidConfig(f"linux.{kind}Mappings: a user namespace needs mappings")
        try:
            if os.geteuid():
                from sampan.runtime import rootless

                rootless.write_map(pid, kind, triples)
            else:
                namespaces.write_map(pid, kind, triples)
        except OSError as error:
            raise errors.InvalidConfig(
                f"linux.{kind}Mappings were refused: {errors.reason(error)}"
            ) from error


def clone(
    flags: int,
    child: Callable[[], None],
    *,
    user: int = -1,
    pids: int = -1,
    cgroup: int = -1,
    early: Callable[[], None] | None = None,
) -> tuple[int, int]:
    """A child of ours in new namespaces, in the joined user and pid namespaces: (pid, pidfd).

    `early` runs in a process in between, with the caller's privilege, before any is joined.
    """
    # Not dumpable across the clone: from inside, only CAP_SYS_PTRACE over the host's user
    # namespace could look at a process that still is the host's (CVE-2016-9962).
    dumpable = process.prctl(PR.GET_DUMPABLE)
    if not (os.geteuid() and flags & CLONE.NEWUSER):  # a user could not write its id maps then
        process.prctl(PR.SET_DUMPABLE, 0)
    try:
        if user >= 0 or early:
            joined = [(user, CLONE.NEWUSER), (pids, CLONE.NEWPID)]
            return _clone_sibling(joined, flags, child, early)
        return _clone_child(flags, pids, child, cgroup)
    except OSError as error:
        hint = " (too many namespaces)" if error.errno == errno.ENOSPC else ""
        raise errors.NotPermitted(
            f"the namespaces of the container could not be made: {errors.reason(error)}{hint}"
        ) from error
    finally:
        process.prctl(PR.SET_DUMPABLE, 1 if dumpable == 1 else 0)


def _clone_child(flags: int, pids: int, child: Callable[[], None], cgroup: int) -> tuple[int, int]:
    own = -1
    if pids >= 0:  # a joined pid namespace is for children only, and the way back is open
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.setns(pids, CLONE.NEWPID)
    try:
        into = CLONE.INTO_CGROUP if cgroup >= 0 else 0
        pid, pidfd = namespaces.clone3(flags | into, cgroup=max(cgroup, 0))
        if pid == 0:
            child()
        return pid, pidfd
    finally:
        if own >= 0:
            namespaces.setns(own, CLONE.NEWPID)
            os.close(own)


def _clone_sibling(
    joined: list[tuple[int, int]],
    flags: int,
    child: Callable[[], None],
    early: Callable[[], None] | None,
) -> tuple[int, int]:
    """Clone by way of a process that joins namespaces first; the result is the caller's child."""
    read, write = os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            if early:
                early()
            for fd, kind in joined:
                if fd >= 0:
                    namespaces.setns(fd, kind)
            pid, _ = namespaces.clone3(flags | CLONE.PARENT, exit_signal=0)
            if pid == 0:
                child()
            os.write(write, f"{pid}".encode())
        except OSError as error:
            os.write(write, f"-{error.errno}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(helper, 0)
    number = int(os.read(read, 32) or b"-5")
    os.close(read)
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    return number, os.pidfd_open(number)
