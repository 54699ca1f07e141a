"""Block devices: blkio on v1, io on v2. Weights 10 … 1000 on v1 (bfq), 1 … 10000 on v2."""

from __future__ import annotations

from sampan.linux.cgroup import files
from sampan.linux.cgroup.stats import Io, IoEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree

_THROTTLES = (
    ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
)
_V2_OPS = (("r", "Read"), ("w", "Write"), ("d", "Discard"))


def weight(blkio_weight: int) -> int:
    """v2 io.weight of a v1 weight: 10 → 1, 1000 → 10000, straight between."""
    return 1 + (blkio_weight - 10) * 9999 // 990


def apply(tree: Tree, block_io: dict[str, Any]) -> None:
    if not any(
        block_io.get(key) for key in ("weight", "weightDevice", *(t[0] for t in _THROTTLES))
    ):
        return
    if directory := tree.v1("blkio"):
        for file, value in writes_v1(block_io, _v1_weight_file(directory)):
            files.set_limit(directory, file, value)
    elif directory := tree.v2("io"):
        bfq = files.exists(f"{directory}/io.bfq.weight")
        for file, value in writes_v2(block_io, bfq=bfq):
            files.set_limit(directory, file, value)
    else:
        raise tree.missing("io" if tree.unified else "blkio", "a limit on block devices")


def _v1_weight_file(directory: str) -> str:
    return "blkio.bfq.weight" if files.exists(f"{directory}/blkio.bfq.weight") else "blkio.weight"


def writes_v1(block_io: dict[str, Any], weight_file: str) -> list[tuple[str, str]]:
    writes = []
    if value := block_io.get("weight"):
        writes.append((weight_file, str(value)))
    for device in block_io.get("weightDevice") or ():
        if device.get("weight"):
            writes.append((f"{weight_file}_device", f"{_number(device)} {device['weight']}"))
    for key, file, _ in _THROTTLES:
        for device in block_io.get(key) or ():
            writes.append((file, f"{_number(device)} {device['rate']}"))
    return writes


def writes_v2(block_io: dict[str, Any], *, bfq: bool) -> list[tuple[str, str]]:
    """With the bfq scheduler its own weight file has v1's range; else io.weight and its range."""
    file = "io.bfq.weight" if bfq else "io.weight"
    writes = []
    if value := block_io.get("weight"):
        writes.append((file, str(value if bfq else f"default {weight(value)}")))
    for device in block_io.get("weightDevice") or ():
        if value := device.get("weight"):
            writes.append((file, f"{_number(device)} {value if bfq else weight(value)}"))
    for key, _, name in _THROTTLES:
        for device in block_io.get(key) or ():
            writes.append(("io.max", f"{_number(device)} {name}={device['rate'] or 'max'}"))
    return writes


def _number(device: dict[str, Any]) -> str:
    return f"{device['major']}:{device['minor']}"


def stats(tree: Tree) -> Io:
    if directory := tree.v1("blkio"):
        return Io(
            service_bytes=_stat_v1(directory, "io_service_bytes_recursive"),
            serviced=_stat_v1(directory, "io_serviced_recursive"),
        )
    if not tree.unified or not files.exists(f"{tree.unified}/io.stat"):
        return Io()
    text = files.read(f"{tree.unified}/io.stat")
    return Io(service_bytes=parse_v2(text, "bytes"), serviced=parse_v2(text, "ios"))


def _stat_v1(directory: str, what: str) -> tuple[IoEntry, ...]:
    """bfq counts what it scheduled; a device without it is counted by the throttling layer."""
    for layer in ("bfq", "throttle"):
        path = f"{directory}/blkio.{layer}.{what}"
        if files.exists(path) and (entries := parse_v1(files.read(path))):
            return entries
    return ()


def parse_v1(text: str) -> tuple[IoEntry, ...]:
    """`8:0 Read 4096` a line; the sum over all devices at the end (`Total 4096`) is left out."""
    entries = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 3 and ":" in fields[0]:
            entries.append(_entry(fields[0], fields[1], fields[2]))
    return tuple(entries)


def parse_v2(text: str, unit: str) -> tuple[IoEntry, ...]:
    """`8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …` a line; unit is "bytes" or "ios"."""
    entries = []
    for line in text.splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        for letter, op in _V2_OPS:
            if (value := values.get(letter + unit)) is not None:
                entries.append(_entry(device, op, value))
    return tuple(entries)


def _entry(device: str, op: str, value: str) -> IoEntry:
    major, minor = device.split(":")
    return IoEntry(major=int(major), minor=int(minor), op=op, value=int(value))
