"""`sampan update`: other limits for containers."""

from __future__ import annotations

from sampan.cli.common_options import RESOURCES
from sampan.cli.options import Command, option
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="update",
    aliases=("container update",),
    summary="Change the limits of containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(
        *RESOURCES,
        option("--restart", "restart", "When to start it again: no, always, unless-stopped,"
               " on-failure[:MAX]", completes="no|always|unless-stopped|on-failure"),
    ),
    completes="container",
)  # fmt: skip
FIELDS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "pids-limit": "PidsLimit",
}


def run(session: Session, args: Arguments) -> int:
    body = {field: args[name] for name, field in FIELDS.items() if args.given(name)}
    if args.given("restart"):
        body["RestartPolicy"] = args["restart"]
    if not body:
        raise args.fail("you must provide one or more flags when using this command", code=1)

    def update(name: str) -> None:
        session.client.call("POST", f"/containers/{name}/update", None, body)

    return each(args.operands, update)
