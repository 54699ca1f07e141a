"""The verbs of `sampan-oci`: flags in, calls of the runtime room, what is printed out."""

from __future__ import annotations

import os
import sys

from sampan.kit import errors, json
from sampan.linux import sealed
from sampan.runtime import state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.spec import oci_runtime

    Flags = dict[str, Any]


def create_(root: str, flags: Flags, operands: list[str]) -> int:
    _seal()
    from sampan.runtime import run

    run.create_container(run.Launch(root=root, container_id=operands[0], **_launch(flags)))
    return 0


def run_(root: str, flags: Flags, operands: list[str]) -> int:
    _seal()
    from sampan.runtime import run

    return run.run_container(run.Launch(root=root, container_id=operands[0], **_launch(flags)))


def _launch(flags: Flags) -> Flags:
    flags.pop("no_subreaper", None)
    return flags


def _seal() -> None:
    """Before anything of a container runs; the place it leaves spares the next start an exec."""
    if not sealed.is_sealed():
        try:
            sealed.install()
        except OSError:  # a convenience, no need
            pass
        sealed.ensure()


def start_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import start

    start.start(state.load(root, operands[0]))
    return 0


def exec_(root: str, flags: Flags, operands: list[str]) -> int:
    _seal()
    from sampan.runtime import exec as exec_verb
    from sampan.runtime import foreground, run

    container = state.load(root, operands[0])
    if container.status in ("stopped", "created"):
        raise errors.Conflict("cannot exec in a container that is not running")
    if container.status == "paused" and not flags.get("ignore_paused"):
        raise errors.Conflict("cannot exec in a paused container (use --ignore-paused to override)")
    process = _process(container, flags, operands[1:])
    path, detach = flags.get("console_socket", ""), flags.get("detach", False)
    run.check_console(process, path, detached=detach)
    terminal = foreground.Terminal.needed(process, path)
    config = container.config
    created = exec_verb.exec_process(
        exec_verb.Target(
            pid=container.pid,
            manager=container.manager,
            cgroups=tuple(flags.get("cgroup", ())),
            seccomp=config.linux.seccomp,
            linux=config.linux,
            state={
                "ociVersion": config.oci_version,
                "id": operands[0],
                "status": "running",
                "pid": container.pid,
                "bundle": container.bundle,
            },
        ),
        process,
        console=terminal.sender if terminal else foreground.console(path),
        preserve_fds=flags.get("preserve_fds", 0),
    )
    created.wait_ready()
    if "pid_file" in flags:
        run.write_pid(flags["pid_file"], created.pid)
    if terminal:
        terminal.receive()
    foreground.catch_signals(detached=detach)
    created.start()
    return 0 if detach else foreground.wait(created.pid, created.pidfd, terminal)


def _process(container: state.Container, flags: Flags, command: list[str]) -> oci_runtime.Process:
    from sampan.spec import oci_runtime

    base = container.config.process or oci_runtime.Process()
    if "process" in flags:
        with open(flags["process"], encoding="utf-8") as file:
            own = oci_runtime.parse_as(oci_runtime.Process, json.loads(file.read()), "process")
            return own.replace(
                scheduler=own.scheduler or base.scheduler,
                io_priority=own.io_priority or base.io_priority,
                exec_cpu_affinity=own.exec_cpu_affinity or base.exec_cpu_affinity,
                apparmor_profile=own.apparmor_profile or base.apparmor_profile,
                selinux_label=own.selinux_label or base.selinux_label,
            )
    if not command:
        raise errors.InvalidArgument("exec needs a command or --process")
    changes: Flags = {"args": tuple(command), "terminal": flags.get("tty", False)}
    if "cwd" in flags:
        changes["cwd"] = flags["cwd"]
    if "env" in flags:
        changes["env"] = (*base.env, *flags["env"])
    if flags.get("no_new_privs"):
        changes["no_new_privileges"] = True
    if "user" in flags or "additional_gids" in flags:
        changes["user"] = _user(base.user, flags)
    if "cap" in flags:
        changes["capabilities"] = _add(
            base.capabilities or oci_runtime.Capabilities(), flags["cap"]
        )
    return base.replace(**changes)


def _user(user: oci_runtime.User, flags: Flags) -> oci_runtime.User:
    """Strictly numbers: a half-read id would run as somebody else (CVE-2026-30892)."""
    if "user" in flags:
        uid, colon, gid = flags["user"].partition(":")
        user = user.replace(uid=_number(uid, "--user"), gid=_number(gid, "--user") if colon else 0)
    groups = tuple(
        [_number(text, "--additional-gids") for text in flags.get("additional_gids", ())]
    )
    return user.replace(additional_gids=(*user.additional_gids, *groups))


def _number(text: str, flag: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise errors.InvalidArgument(f"{flag}: {text!r} is no numeric id")
    return int(text)


def _add(sets: oci_runtime.Capabilities, names: list[str]) -> oci_runtime.Capabilities:
    """Not to the inheritable set (CVE-2022-29162)."""
    from sampan.linux import capabilities

    for name in names:
        if name not in capabilities.BITS:
            raise errors.InvalidArgument(f"--cap: {name!r} is no capability")
    more = tuple(names)
    return sets.replace(
        bounding=sets.bounding + more,
        effective=sets.effective + more,
        permitted=sets.permitted + more,
    )


def state_(root: str, flags: Flags, operands: list[str]) -> int:
    print(json.pretty(state.load(root, operands[0]).document()))
    return 0


def kill_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.linux import signals
    from sampan.runtime import kill

    try:
        number = signals.parse(operands[1] if len(operands) > 1 else "TERM")
    except ValueError as error:
        raise errors.InvalidArgument(str(error)) from None
    kill.kill(state.load(root, operands[0]), number, every=flags.get("all", False))
    return 0


def delete_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import delete

    force = flags.get("force", False)
    try:
        container = state.load(root, operands[0])
    except errors.NotFound:
        if force:
            state.remove(f"{root}/{operands[0]}")
            return 0
        raise
    delete.delete(container, force=force, warn=lambda text: print(text, file=sys.stderr))
    return 0


def list_(root: str, flags: Flags, operands: list[str]) -> int:
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        try:
            found.append(state.load(root, name).document())
        except (errors.SampanError, OSError):  # being made or removed just now
            continue
    if flags.get("quiet"):
        print("".join(f"{c['id']}\n" for c in found), end="")
    elif flags.get("format") == "json":
        print(json.dumps(found) if found else "null")
    else:
        for c in [dict(zip(_COLUMNS, map(str.upper, _COLUMNS), strict=True)), *found]:
            print(*(f"{c[name]!s:12}" for name in _COLUMNS))
    return 0


_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def ps_(root: str, flags: Flags, operands: list[str]) -> int:
    container = state.load(root, operands[0])
    pids = container.manager.pids()
    if flags.get("format") == "json":
        print(json.dumps(pids))
    else:
        sys.stdout.flush()
        os.execvp("ps", ["ps", "-f", "-p", ",".join(map(str, pids)) or "0"])
    return 0


def pause_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import pause

    pause.pause(state.load(root, operands[0]))
    return 0


def resume_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import pause

    pause.resume(state.load(root, operands[0]))
    return 0


def update_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import update

    container = state.load(root, operands[0])
    for name in ("l3_cache_schema", "mem_bw_schema"):
        if name in flags:
            raise errors.Unsupported(f"--{name.replace('_', '-')}: Intel RDT is not there")
    if source := flags.pop("resources", ""):
        with open(0 if source == "-" else source, encoding="utf-8") as file:
            try:
                resources = json.loads(file.read())
            except ValueError as error:
                raise errors.InvalidArgument(f"--resources {source}: {error}") from None
    else:
        resources = update.from_flags({k.replace("_", "-"): v for k, v in flags.items()})
    update.update(container, resources)
    return 0


def events_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import events

    interval = events.seconds(flags.get("interval", "5s"))
    container = state.load(root, operands[0])
    if flags.get("stats"):
        print(json.dumps(events.stats(container)))
        return 0
    for event in events.stream(container, interval):
        print(json.dumps(event), flush=True)
    return 0


def spec_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import spec

    path = os.path.join(flags.get("bundle", "."), "config.json")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.pretty(spec.example(), indent=4) + "\n")
    except FileExistsError:
        raise errors.AlreadyExists(f"file {path} exists. Remove it first") from None
    return 0


def validate_(root: str, flags: Flags, operands: list[str]) -> int:
    """Every problem of a bundle's config.json, one a line."""
    from sampan.runtime import validate as checks

    bundle = os.path.abspath(operands[0] if operands else ".")
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        found = checks.problems(json.loads(file.read()), bundle)
    for text in found:
        print(text)
    return 1 if found else 0


def features_(root: str, flags: Flags, operands: list[str]) -> int:
    from sampan.runtime import spec

    print(json.pretty(spec.features()))
    return 0
