"""The options that `checkpoint` and `restore` share."""

from __future__ import annotations

from sampan.cli.oci.table import flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.checkpoint import Options

SHARED = (
    flag("--image-path", "string", "directory of the checkpoint", default="checkpoint"),
    flag("--work-path", "string", "directory of criu's logs (the checkpoint's)"),
    flag("--tcp-established", "", "with open TCP connections"),
    flag("--ext-unix-sk", "", "with unix sockets that lead out of the container"),
    flag("--shell-job", "", "with a terminal that is not the container's"),
    flag("--file-locks", "", "with file locks"),
    flag("--manage-cgroups-mode", "string", "soft, full, strict or ignore", default="soft"),
    flag("--empty-ns", "list", "namespace whose content is not saved (network)"),
    flag("--auto-dedup", "", "drop what a parent image has"),
    flag("--lazy-pages", "", "fetch memory when it is first used"),
)


def options(args: dict[str, Any]) -> Options:
    """The flags as the runtime takes them; raises Unsupported for what is not done."""
    from sampan.kit import errors
    from sampan.runtime import checkpoint

    if args["lazy-pages"]:
        raise errors.Unsupported("--lazy-pages is not supported: the memory is saved as a whole")
    return checkpoint.Options(
        image_path=args["image-path"],
        work_path=args["work-path"],
        parent_path=args.get("parent-path", ""),
        leave_running=args.get("leave-running", False),
        pre_dump=args.get("pre-dump", False),
        tcp_established=args["tcp-established"],
        tcp_skip_in_flight=args.get("tcp-skip-in-flight", False),
        link_remap=args.get("link-remap", False),
        ext_unix_sk=args["ext-unix-sk"],
        shell_job=args["shell-job"],
        file_locks=args["file-locks"],
        auto_dedup=args["auto-dedup"],
        manage_cgroups=args["manage-cgroups-mode"],
        empty_namespaces=tuple(args["empty-ns"]),
        page_server=args.get("page-server", ""),
        lsm_profile=args.get("lsm-profile", ""),
    )
