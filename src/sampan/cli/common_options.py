"""Options that several commands share word for word."""

from __future__ import annotations

from sampan.cli.options import option

FORMAT = option(
    "--format", "string", "Show each row as 'table', 'json', 'table TEMPLATE' or a Go TEMPLATE"
)
INSPECT_FORMAT = option("-f --format", "string", "Show as 'json' or by a Go TEMPLATE")
FILTER = option("-f --filter", "filter", "Show only what fits, KEY=VALUE")
PRUNE_FILTER = option("--filter", "filter", "Remove only what fits, KEY=VALUE")
NO_TRUNC = option("--no-trunc", "bool", "Show everything in full length")
FORCE_PRUNE = option("-f --force", "bool", "Do not ask")
DETACH_KEYS = option("--detach-keys", "string", "Keys that leave the container running and return")
TIMEOUT = option("-t --timeout --time", "int", "Seconds until it is killed")
SIGNAL = option("-s --signal", "string", "Signal to send", completes="signal")
CHANGE = option("-c --change", "list", "Apply a Dockerfile instruction to the image")
PLATFORM = option("--platform", "string", "Platform, os/arch[/variant]")
ALL_PLATFORMS = option("--all-platforms", "bool", "All platforms of the image")
RESOURCES = (
    option("--blkio-weight", "weight", "Share of block I/O, 10 to 1000; 0 leaves it alone"),
    option("--cpu-period", "int", "Length of a scheduler period in microseconds"),
    option("--cpu-quota", "int", "Processor time for each period in microseconds"),
    option("--cpu-rt-period", "int", "Length of a real-time period in microseconds"),
    option("--cpu-rt-runtime", "int", "Real-time processor time for each period in microseconds"),
    option("-c --cpu-shares", "int", "Share of processor time beside other containers"),
    option("--cpus", "cpus", "Limit to this many CPUs, such as 1.5"),
    option("--cpuset-cpus", "string", "Run on these CPUs alone, such as 0-3 or 0,1"),
    option("--cpuset-mems", "string", "Use memory of these NUMA nodes alone"),
    option("-m --memory", "bytes", "Limit memory, such as 512m"),
    option("--memory-reservation", "bytes", "Memory to shrink to when the host runs short"),
    option("--memory-swap", "swap", "Limit memory and swap together; -1: swap without limit"),
    option("--pids-limit", "int", "Limit the number of processes; -1: none"),
)
