"""`--dry-run`: a container's plan as steps, one line each, in the order in which they would happen.

Nothing of it happens: the plan is made (so all that `create` refuses without the kernel is refused
here, too), and said. Loaded for nothing else.
"""

from __future__ import annotations

import os
import stat

from sampan.kit import json
from sampan.linux import capabilities, namespaces, seccomp
from sampan.runtime import cgroups, create, errors, plan, run, run_files, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sampan.runtime.plan import Plan
    from sampan.runtime.process_plan import ProcessPlan
    from sampan.runtime.run import Launch
    from sampan.spec import oci_runtime

_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def steps(launch: Launch, *, detached: bool) -> list[str]:
    """What `create` (or `run`) of this would do."""
    seccomp.cache_directory = None  # a compiled filter would be kept there
    config, _text, bundle = run.read_bundle(launch.bundle, launch.config)
    run_files.check_console(config.process, launch.console_socket, detached=detached)
    state.check_id(launch.container_id)
    directory = f"{launch.root}/{launch.container_id}"
    if os.path.exists(directory):
        raise errors.ContainerExists(launch.container_id)
    chosen = run.options(launch, config, bundle)
    if config.process and config.process.terminal:
        chosen = chosen.replace(console=True)
    made = plan.make(config, chosen)
    for _kind, fd in made.joined:
        os.close(fd)
    return [
        f"make the state directory {directory}",
        *_cgroup(config, launch),
        *_namespaces(config, made),
        *_settings(config, made),
        *_root(config, made),
        *_process(made.process),
        *_hooks(config, "startContainer"),
        f"execute {json.dumps(list(made.process.args))}",
        *_hooks(config, "poststart"),
    ]


def _cgroup(config: oci_runtime.Config, launch: Launch) -> Iterator[str]:
    if not launch.cgroups:
        cgroups.none("--cgroup-manager disabled").apply(create.resources(config))
        yield "make no cgroup"
        return
    path = cgroups.path_of(config, launch.container_id, systemd=launch.systemd)
    if launch.systemd:
        yield f"let systemd make the unit {path}"
    else:
        manager = cgroups.manager(config, path)
        for directory in dict.fromkeys(manager.paths().values()):
            yield f"make the cgroup {directory}"
    for name, value in create.resources(config).items():
        if name == "devices":
            for rule in value:
                yield f"cgroup: {_device_rule(rule)}"
        else:
            for place, item in _leaves(name, value):
                yield f"cgroup: set {place} to {json.dumps(item)}"


def _device_rule(rule: dict[str, Any]) -> str:
    numbers = [str(rule[key]) if rule.get(key, -1) >= 0 else "*" for key in ("major", "minor")]
    verb = "allow" if rule.get("allow") else "deny"
    return f"{verb} {rule.get('access') or 'rwm'} of device {rule.get('type') or 'a'} " + ":".join(
        numbers
    )


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(JSON path, value) of all below a part of config.json that is no object."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{place}.{key}", item)
    else:
        yield place, value


def _namespaces(config: oci_runtime.Config, made: Plan) -> Iterator[str]:
    linux = config.linux
    if new := [kind for kind, flag in namespaces.FLAGS.items() if made.new & flag]:
        yield f"clone into new namespaces: {', '.join(new)}"
    else:
        yield "clone, without a namespace of its own"
    for item in linux.namespaces:
        if item.path:
            yield f"join the {item.type} namespace {item.path}"
    for kind, mappings in (("uids", linux.uid_mappings), ("gids", linux.gid_mappings)):
        for m in mappings:
            yield f"map {m.size} {kind} from {m.container_id} on to {m.host_id} of the host"
    for outside, inside in made.net_devices:
        yield f"move the network device {outside} in, as {inside}"


def _settings(config: oci_runtime.Config, made: Plan) -> Iterator[str]:
    process = made.process
    if process.oom_score_adj is not None:
        yield f"set the out-of-memory score to {process.oom_score_adj}"
    for kind, soft, hard in process.rlimits:
        yield f"limit {kind} to {soft}, at most {hard}"
    for line in made.time_offsets.splitlines():
        yield f"set the clock {line}"
    if process.new_keyring:
        yield f"make the session keyring {process.new_keyring}"
    for name, value in (("hostname", made.hostname), ("domainname", made.domainname)):
        if value:
            yield f"set the {name} to {value}"
    for name, value in made.sysctl:
        yield f"write {value} to /proc/sys/{name}"


def _root(config: oci_runtime.Config, made: Plan) -> Iterator[str]:
    yield f"take {made.root} as the root ({made.propagation or 'rslave'})"
    for spec, item in zip(config.mounts, made.mounts, strict=True):
        what = f"{item.type} " if item.type and item.type not in ("bind", "none") else ""
        options = f" with {','.join(spec.options)}" if spec.options else ""
        yield f"mount {what}{item.source or item.type} on {item.destination}{options}"
    if not made.host_dev:
        for device in made.devices:
            kind = "b" if stat.S_ISBLK(device.mode) else "p" if stat.S_ISFIFO(device.mode) else "c"
            owner = f" of {device.uid}:{device.gid}" if device.uid or device.gid else ""
            yield (
                f"make the device {device.path}: {kind} {device.major}:{device.minor}, "
                f"mode {stat.S_IMODE(device.mode):04o}{owner}"
            )
    for kind in ("prestart", "createRuntime", "createContainer"):
        yield from _hooks(config, kind)
    for path in made.readonly_paths:
        yield f"make {path} read-only"
    for path in made.masked_paths:
        yield f"cover {path}"
    if not made.own_mounts:
        yield "chroot into the root"
    else:
        yield "move the root's mount to /" if made.no_pivot else "pivot to the root"
    if made.root_readonly:
        yield "make the root read-only"


def _process(process: ProcessPlan) -> Iterator[str]:
    if process.terminal:
        yield "open a terminal of the container's own"
    yield f"go to {process.cwd}"
    groups = f", groups {', '.join(map(str, process.groups))}" if process.groups else ""
    if process.groups is None:
        groups = ", keeping the caller's groups"
    yield f"become user {process.uid}, group {process.gid}{groups}"
    if process.umask is not None:
        yield f"set the umask to {process.umask:04o}"
    for name, mask in zip(_SETS, process.capabilities or (), strict=False):
        names = [c for c, bit in capabilities.BITS.items() if mask & bit]
        yield f"have {name} capabilities: {', '.join(names) or 'none'}"
    if process.no_new_privs:
        yield "give up new privileges"
    if process.seccomp:
        program, flags = process.seccomp
        yield f"load a seccomp filter of {len(program) // 8} instructions, flags {flags}"


def _hooks(config: oci_runtime.Config, kind: str) -> Iterator[str]:
    found = {
        "prestart": config.hooks.prestart,
        "createRuntime": config.hooks.create_runtime,
        "createContainer": config.hooks.create_container,
        "startContainer": config.hooks.start_container,
        "poststart": config.hooks.poststart,
    }[kind]
    for hook in found:
        yield f"run the {kind} hook {json.dumps(list(hook.args) or [hook.path])}"
