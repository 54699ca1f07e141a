"""`linux.resources` and annotations as the properties of a systemd unit.

systemd.resource-control(5), in the D-Bus API's types and units: bytes, µs of CPU a second. What
has no property (swappiness, reservations by page, …) is only written to the kernel's files.
"""

from __future__ import annotations

from sampan.linux.cgroup import host
from sampan.linux.cgroup.cpu import weight
from sampan.linux.cgroup.errors import InvalidLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Property = tuple[str, tuple[str, Any]]

_MOST = (1 << 64) - 1  # "infinity"
_ANNOTATION = "org.systemd.property."


def of(resources: dict[str, Any]) -> list[Property]:
    """In the order in which systemd shall take them."""
    found: list[Property] = []
    v2 = not host.layout().v1
    _memory(resources.get("memory") or {}, found, v2=v2)
    _cpu(resources.get("cpu") or {}, found, v2=v2)
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        found.append(("TasksMax", ("t", _MOST if limit < 0 else limit or 1)))
    if v2:
        for file, text in (resources.get("unified") or {}).items():
            _unified(file, str(text).strip(), found)
    return found


_BYTES = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}


def _unified(file: str, text: str, found: list[Property]) -> None:
    """What is only in the kernel's file comes to its end when systemd next writes its own value.

    What has no property, and what is no such value, is left to the kernel.
    """
    if file in _BYTES and (text == "max" or text.isdecimal()):
        found.append((_BYTES[file], ("t", _MOST if text == "max" else int(text))))
    elif file == "cpu.max":
        quota, _, period = text.partition(" ")
        if (quota == "max" or quota.isdecimal()) and (period or "0").isdecimal():
            limit = -1 if quota == "max" else int(quota)
            _cpu({"quota": limit, "period": int(period or 0)}, found, v2=True)
    elif file in ("cpuset.cpus", "cpuset.mems"):
        _cpu({file.removeprefix("cpuset."): text}, found, v2=True)


def _memory(memory: dict[str, Any], found: list[Property], *, v2: bool) -> None:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit:
        found.append(("MemoryMax" if v2 else "MemoryLimit", ("t", _bytes(limit))))
    if v2 and memory.get("reservation"):
        found.append(("MemoryLow", ("t", _bytes(memory["reservation"]))))
    if v2 and swap:
        only = _MOST if swap < 0 else max(swap - max(limit or 0, 0), 0)
        found.append(("MemorySwapMax", ("t", only)))


def _bytes(value: int) -> int:
    return _MOST if value < 0 else value


def _cpu(cpu: dict[str, Any], found: list[Property], *, v2: bool) -> None:
    if shares := cpu.get("shares"):
        if v2:
            found.append(("CPUWeight", ("t", weight(shares))))
        else:
            found.append(("CPUShares", ("t", shares)))
    if quota := cpu.get("quota"):
        period = cpu.get("period") or 100_000
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
        share = _MOST if quota < 0 else -(-quota * 1_000_000 // period)
        # systemd counts in hundredths of a percent
        share = share if share == _MOST else -(-share // 10_000) * 10_000
        found.append(("CPUQuotaPerSecUSec", ("t", share)))
    if v2:
        for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
            if cpu.get(key):
                found.append((name, ("ay", mask(cpu[key]))))


def mask(text: str) -> list[int]:
    """ "0-2,9" → the bits as bytes, lowest first."""
    bits = 0
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()) or int(last or first) > 8191:
            raise InvalidLimit(f"{text!r} is no list of CPUs or memory nodes")
        for number in range(int(first), int(last or first) + 1):
            bits |= 1 << number
    return list(bits.to_bytes(bits.bit_length() // 8 + 1, "little"))


def from_annotations(annotations: dict[str, str]) -> dict[str, tuple[str, Any]]:
    """`org.systemd.property.NAME: VALUE`, with the value in GVariant's text form."""
    found = {}
    for key, text in annotations.items():
        if key.startswith(_ANNOTATION):
            name = key.removeprefix(_ANNOTATION)
            if not (len(name) > 2 and name.isascii() and name.isalpha()):
                raise InvalidLimit(f"annotation {key}: {name!r} is no name of a unit's property")
            kind, value = _value(key, text.strip())
            if name.endswith("Sec") and not name.endswith("USec") and kind in "iuxtd":
                name, kind, value = f"{name.removesuffix('Sec')}USec", "t", int(value * 1_000_000)
            found[name] = (kind, value)
    return found


_TYPES = {"byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x",
          "uint64": "t", "double": "d"}  # fmt: skip


def _value(key: str, text: str) -> tuple[str, Any]:
    if text in ("true", "false"):
        return "b", text == "true"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return "s", text[1:-1]
    if text.removeprefix("@as ").startswith("[") and text.endswith("]"):
        items = text.removeprefix("@as ")[1:-1].split(",")
        return "as", [_value(key, item.strip())[1] for item in items if item.strip()]
    kind, _, digits = text.rpartition(" ")
    try:
        if kind in _TYPES or not kind:
            code = _TYPES.get(kind, "d" if "." in digits else "i")
            return code, float(digits) if code == "d" else int(digits, 0)
    except ValueError:
        pass
    raise InvalidLimit(f"annotation {key}: {text!r} is no number, 'text', true, false or ['list']")
