"""The cpu and cpuacct controllers: shares, quota, time used.

v1 speaks of shares (2 … 262144, default 1024), v2 of a weight (1 … 10000, default 100).
"""

from __future__ import annotations

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import InvalidLimit
from sampan.linux.cgroup.stats import Cpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree

_KEYS = ("shares", "quota", "period", "burst", "realtimeRuntime", "realtimePeriod", "idle")
_TICK = 10_000_000  # nanoseconds of a USER_HZ tick, 1/100 s on every Linux


def weight(shares: int) -> int:
    """v2 weight of v1 shares: 2 → 1, 1024 → 100, 262144 → 10000, and smooth between.

    The curve of runc and crun since 2025; the straight line before it made 39 of 1024.
    """
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    import math  # 1 ms, for cgroup v2 only

    log = math.log2(shares)
    return math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def apply(tree: Tree, cpu: dict[str, Any]) -> None:
    values = {key: value for key in _KEYS if (value := cpu.get(key)) is not None}
    # 0 has always meant "not set" for these (Docker sends it so).
    values = {k: v for k, v in values.items() if v or k in ("idle", "burst", "realtimeRuntime")}
    if not values:
        return
    if directory := tree.v1("cpu"):
        _apply_v1(directory, values)
    elif directory := tree.v2("cpu"):
        for file, value in writes_v2(values):
            files.set_limit(directory, file, value)
    else:
        raise tree.missing("cpu", "cpu " + ", ".join(f"{k} {v}" for k, v in values.items()))


def _apply_v1(directory: str, values: dict[str, int]) -> None:
    for key, file in (("idle", "cpu.idle"), ("shares", "cpu.shares")):
        if key in values and not (key == "shares" and values.get("idle") == 1):
            files.set_limit(directory, file, values[key])
    _set_in_order(
        directory,
        ("cpu.rt_period_us", values.get("realtimePeriod")),
        ("cpu.rt_runtime_us", values.get("realtimeRuntime")),
    )
    period, quota = values.get("period"), values.get("quota")
    burst = values.get("burst")
    if burst == 0:
        files.set_limit(directory, "cpu.cfs_burst_us", 0)
    _set_in_order(directory, ("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota))
    if burst:
        files.set_limit(directory, "cpu.cfs_burst_us", burst)


def _set_in_order(
    directory: str, first: tuple[str, int | None], second: tuple[str, int | None]
) -> None:
    """A period and its quota or runtime, whichever is given.

    The kernel checks their quotient at each write (against the parent's, and 1): one order fits.
    """
    writes = [(file, value) for file, value in (first, second) if value is not None]
    if len(writes) == 2:
        try:
            files.set_limit(directory, *writes[0])
            del writes[0]
        except InvalidLimit:
            writes.reverse()
    for file, value in writes:
        files.set_limit(directory, file, value)


def writes_v2(values: dict[str, int]) -> list[tuple[str, str]]:
    """The v2 files and values for an OCI cpu section, in the order to write them."""
    if any(values.get(key) for key in ("realtimeRuntime", "realtimePeriod")):
        raise InvalidLimit("realtime cpu limits exist only on cgroup v1")
    writes = []
    if "idle" in values:
        writes.append(("cpu.idle", str(values["idle"])))
    if "shares" in values and values.get("idle") != 1:  # an idle group has no weight (EINVAL)
        writes.append(("cpu.weight", str(weight(values["shares"]))))
    burst = values.get("burst")
    if burst == 0:
        writes.append(("cpu.max.burst", "0"))
    quota, period = values.get("quota"), values.get("period")
    if quota is not None or period is not None:
        text = str(quota) if quota is not None and quota > 0 else "max"
        writes.append(("cpu.max", f"{text} {period or 100_000}"))
    if burst:
        writes.append(("cpu.max.burst", str(burst)))
    return writes


def stats(tree: Tree) -> Cpu:
    if (directory := tree.v1("cpuacct")) is None:
        return _stats_v2(tree.unified) if tree.unified else Cpu()
    throttling = files.flat(f"{tree.v1('cpu') or directory}/cpu.stat")
    user = files.number(f"{directory}/cpuacct.usage_user", -1)
    if user >= 0:
        kernel = files.number(f"{directory}/cpuacct.usage_sys")
    else:  # before Linux 4.6
        ticks = files.flat(f"{directory}/cpuacct.stat")
        user, kernel = ticks.get("user", 0) * _TICK, ticks.get("system", 0) * _TICK
    return Cpu(
        total=files.number(f"{directory}/cpuacct.usage"),
        user=user,
        kernel=kernel,
        percpu=tuple(map(int, files.read(f"{directory}/cpuacct.usage_percpu").split())),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_time=throttling.get("throttled_time", 0),
    )


def _stats_v2(directory: str) -> Cpu:
    stat = files.flat(f"{directory}/cpu.stat")
    return Cpu(
        total=stat.get("usage_usec", 0) * 1000,
        user=stat.get("user_usec", 0) * 1000,
        kernel=stat.get("system_usec", 0) * 1000,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_time=stat.get("throttled_usec", 0) * 1000,
    )
