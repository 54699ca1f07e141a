"""`exec`: one more process in a container."""

from __future__ import annotations

from sampan.cli.oci import launching
from sampan.cli.oci.table import MANY, UsageError, Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context
    from sampan.runtime import state
    from sampan.spec import oci_runtime

VERB = Verb(
    name="exec",
    summary="run one more process in a container",
    operands="<container-id> <command> [command options]",
    at_most=MANY,
    interspersed=False,
    description="What no option says is taken from the container's own process. Exits with the\n"
    "   process's status, or 255 where it could not be started.",
    flags=(
        launching.CONSOLE,
        launching.PIDFD,
        flag("--cwd", "string", "working directory in the container"),
        flag("--env -e", "list", "NAME=VALUE to add to the environment"),
        flag("--tty -t", "", "with a terminal"),
        flag("--user -u", "list", "UID[:GID]"),  # a list, for an empty text is an error
        flag("--additional-gids -g", "list", "further group id"),
        flag(
            "--process -p", "string", "file with the whole process as in config.json, - for stdin"
        ),
        flag("--detach -d", "", "return once the process runs"),
        launching.PID_FILE,
        flag("--process-label", "string", "SELinux label of the process"),
        flag("--apparmor", "string", "AppArmor profile of the process"),
        flag("--no-new-privs", "", "set no_new_privs"),
        flag("--cap -c", "list", "capability to add"),
        launching.PRESERVE,
        flag("--cgroup", "list", "[CONTROLLERS:]PATH of an existing cgroup below the container's"),
        flag("--ignore-paused", "", "also in a paused container: it waits for resume"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    launching.seal()
    from sampan.runtime import exec_in, state

    container = state.load(context.root, operands[0])
    status = container.status
    if status == "stopped":
        raise UsageError("cannot exec in a stopped container")
    if status == "paused" and not args["ignore-paused"]:
        raise UsageError("cannot exec in a paused container (use --ignore-paused to override)")
    wanted = exec_in.Wanted(
        process=_process(container, args, operands[1:]),
        cgroups=tuple(args["cgroup"]),
        console_socket=args["console-socket"],
        pidfd_socket=args["pidfd-socket"],
        pid_file=args["pid-file"],
        preserve_fds=args["preserve-fds"],
        detach=args["detach"],
    )
    return exec_in.run(container, wanted)


def _process(
    container: state.Container, args: dict[str, Any], command: list[str]
) -> oci_runtime.Process:
    from sampan.spec import oci_runtime

    base = container.config.process or oci_runtime.Process()
    if args["process"]:
        own = _read(args["process"])
        return own.replace(
            scheduler=own.scheduler or base.scheduler,
            io_priority=own.io_priority or base.io_priority,
            exec_cpu_affinity=own.exec_cpu_affinity or base.exec_cpu_affinity,
            apparmor_profile=own.apparmor_profile or base.apparmor_profile,
            selinux_label=own.selinux_label or base.selinux_label,
        )
    if not command:
        raise UsageError("exec args cannot be empty")
    return base.replace(
        args=tuple(command),
        terminal=args["tty"],
        cwd=args["cwd"] or base.cwd,
        env=(*base.env, *args["env"]),
        no_new_privileges=args["no-new-privs"] or base.no_new_privileges,
        apparmor_profile=args["apparmor"] or base.apparmor_profile,
        selinux_label=args["process-label"] or base.selinux_label,
        user=_user(base.user, args),
        capabilities=_add(base.capabilities, args["cap"]) if args["cap"] else base.capabilities,
    )


def _read(path: str) -> oci_runtime.Process:
    from sampan.kit import errors, json
    from sampan.spec import oci_runtime

    try:
        with open(0 if path == "-" else path, encoding="utf-8") as file:
            document = json.loads(file.read())
    except ValueError as error:
        raise errors.InvalidArgument(f"--process {path} is no JSON: {error}") from None
    process = oci_runtime.parse_as(oci_runtime.Process, document, "process")
    if not process.args:
        raise errors.InvalidArgument(f"--process {path}: args must not be empty")
    return process


def _user(user: oci_runtime.User, args: dict[str, Any]) -> oci_runtime.User:
    """Strictly numbers: a half-read id would run as somebody else (CVE-2026-30892)."""
    if args["user"]:
        uid, colon, gid = args["user"][-1].partition(":")
        user = user.replace(uid=_number(uid, "--user"), gid=_number(gid, "--user") if colon else 0)
    groups = tuple([_number(text, "--additional-gids") for text in args["additional-gids"]])
    return user.replace(additional_gids=(*user.additional_gids, *groups))


def _number(text: str, option: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{option}: {text!r} is no numeric id")
    return int(text)


def _add(sets: oci_runtime.Capabilities | None, names: list[str]) -> oci_runtime.Capabilities:
    """Not to the inheritable set (CVE-2022-29162)."""
    from sampan.linux import capabilities
    from sampan.spec import oci_runtime

    for name in names:
        if name not in capabilities.BITS:
            raise UsageError(f"--cap: {name!r} is no capability")
    sets, more = sets or oci_runtime.Capabilities(), tuple(names)
    return sets.replace(
        bounding=sets.bounding + more,
        effective=sets.effective + more,
        permitted=sets.permitted + more,
        ambient=sets.ambient + tuple([name for name in more if name in sets.inheritable]),
    )
