"""What a cgroup used, the same records for both dialects. Times in nanoseconds, sizes in bytes."""

from __future__ import annotations

from sampan.kit.record import Record


class Cpu(Record):
    total: int = 0
    user: int = 0
    kernel: int = 0
    percpu: tuple[int, ...] = ()  # empty on v2
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class Memory(Record):
    usage: int = 0
    max_usage: int = 0
    limit: int | None = None  # None: no limit
    failcnt: int = 0
    swap_usage: int = 0  # v1: memory + swap, v2: swap alone
    swap_limit: int | None = None
    stat: dict[str, int] = {}  # memory.stat as it is, other keys on v1 than on v2


class Pids(Record):
    current: int = 0
    limit: int | None = None


class IoEntry(Record):
    major: int
    minor: int
    op: str  # v1: Read, Write, Sync, Async, Discard, Total; v2: Read, Write, Discard
    value: int


class Io(Record):
    service_bytes: tuple[IoEntry, ...] = ()
    serviced: tuple[IoEntry, ...] = ()


class Hugetlb(Record):
    usage: int = 0
    max_usage: int = 0  # 0 on v2
    failcnt: int = 0


class Stats(Record):
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    pids: Pids = Pids()
    io: Io = Io()
    hugetlb: dict[str, Hugetlb] = {}  # page size ("2MB") → usage
