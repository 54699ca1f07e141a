"""A checkpoint made by a process of its own: criu is forked, which a program of threads must not.

    command({"pid": 42, "config": {…}, "bundle": …, "cgroup": …, "image_path": …, "exit": True})

is what to execute, with the job on stdin. It prints nothing, or one JSON line
`{"error": sentence, "kind": class}`.
"""

from __future__ import annotations

import sys

from sampan.kit import errors, json
from sampan.kit.record import Record
from sampan.linux import cgroup
from sampan.runtime import checkpoint
from sampan.spec import oci_runtime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager

KINDS = {kind.__name__: kind for kind in (errors.Unsupported, errors.InvalidArgument)}


class _Running(Record):
    pid: int
    rootfs: str
    bundle: str
    config: oci_runtime.Config
    manager: Manager


def command() -> list[str]:
    """The interpreter, started lightly, with the module path of this process."""
    paths = [path for path in sys.path if path]
    code = f"import sys; sys.path[:] = {paths!r}; from sampan.runtime.saving import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


def check(line: bytes) -> None:
    """Raises the error that such a process printed as what it was."""
    if not line.strip():
        return
    told = json.loads(line.decode())
    raise KINDS.get(told["kind"], errors.Conflict)(told["error"])


def main() -> None:
    job = json.loads(sys.stdin.read())
    try:
        _save(job)
    except (errors.SampanError, OSError) as error:
        kind = next((name for name, cls in KINDS.items() if isinstance(error, cls)), "")
        print(json.dumps({"error": str(error), "kind": kind}), flush=True)


def _save(job: dict[str, Any]) -> None:
    document = job["config"]
    for item in document["linux"]["namespaces"]:
        if item["type"] == "network":  # made anew at the restore, and joined
            item["path"] = f"/proc/{job['pid']}/ns/net"
    running = _Running(
        pid=job["pid"],
        rootfs=document["root"]["path"],
        bundle=job["bundle"],
        config=oci_runtime.parse(document),
        manager=cgroup.manager(job["cgroup"]),
    )
    options = checkpoint.Options(image_path=job["image_path"], leave_running=not job["exit"])
    checkpoint.save(running, options)
