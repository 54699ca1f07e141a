"""The options that `checkpoint` and `restore` share."""

from __future__ import annotations

from sampan.cli.oci.table import flag

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
