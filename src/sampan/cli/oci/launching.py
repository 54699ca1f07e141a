"""What `create`, `run` and `exec` share: their options, and the seal before a container runs."""

from __future__ import annotations

from sampan.cli.oci.table import flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context
    from sampan.runtime.run import Launch

CONSOLE = flag(
    *("--console-socket", "string", "unix socket that gets the master of the container's terminal")
)
PIDFD = flag("--pidfd-socket", "string", "unix socket that gets a pidfd of the process")
PID_FILE = flag("--pid-file", "string", "file to write the process id to")
PRESERVE = flag(
    "--preserve-fds",
    "int",
    "pass so many more descriptors from 3 on (after those of $LISTEN_FDS)",
)
BUNDLE = flag("--bundle -b", "string", "the bundle's directory", default=".")
CONFIG = flag("--config", "string", "another file than the bundle's config.json")
CREATE = (
    *(BUNDLE, CONFIG, CONSOLE, PIDFD, PID_FILE),
    flag("--no-pivot", "", "change the root by a moved mount: for a root on a ramdisk"),
    flag("--no-new-keyring", "", "keep the caller's session keyring"),
    PRESERVE,
    flag("--dry-run", "", "say each step that would be taken, and take none"),
)


def seal() -> None:
    """Before anything of a container runs; the place it leaves spares the next start an exec."""
    from sampan.linux import sealed

    if not sealed.is_sealed():
        try:
            sealed.install()
        except OSError:  # a convenience, no need
            pass
        sealed.ensure()


def dry_run(chosen: Launch, *, detached: bool) -> int:
    from sampan.runtime import describe

    print("".join([f"{line}\n" for line in describe.steps(chosen, detached=detached)]), end="")
    return 0


def launch(context: Context, container_id: str, args: dict[str, Any]) -> Launch:
    from sampan.runtime import run

    return run.Launch(
        root=context.root,
        container_id=container_id,
        bundle=args["bundle"],
        config=args.get("config", "") or context.config,
        console_socket=args["console-socket"],
        pidfd_socket=args.get("pidfd-socket", ""),
        pid_file=args["pid-file"],
        no_pivot=args["no-pivot"],
        no_new_keyring=args.get("no-new-keyring", False),
        preserve_fds=args.get("preserve-fds", 0),
        detach=args.get("detach", False),
        keep=args.get("keep", False),
        subreaper=not args.get("no-subreaper", False),
        systemd=context.cgroup_manager == "systemd",
        cgroups=context.cgroup_manager != "disabled",
        warn=context.log.warning,
    )
