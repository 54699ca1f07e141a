"""`update`: change the limits of a container that lives.

Resources come as the specification's `linux.resources`; what is absent stays as it is, and so do
the device rules (others may have added to them: nvidia's hook does).
"""

from __future__ import annotations

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.state import Container

# flag → (section, key, how its text is read)
FLAGS = {
    "blkio-weight": ("blockIO", "weight", "number"),
    "cpu-period": ("cpu", "period", "number"),
    "cpu-quota": ("cpu", "quota", "signed"),
    "cpu-burst": ("cpu", "burst", "number"),
    "cpu-share": ("cpu", "shares", "number"),
    "cpu-rt-period": ("cpu", "realtimePeriod", "number"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", "signed"),
    "cpuset-cpus": ("cpu", "cpus", "text"),
    "cpuset-mems": ("cpu", "mems", "text"),
    "cpu-idle": ("cpu", "idle", "signed"),
    "memory": ("memory", "limit", "size"),
    "memory-reservation": ("memory", "reservation", "size"),
    "memory-swap": ("memory", "swap", "size"),
    "pids-limit": ("pids", "limit", "signed"),
}
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_SECTIONS = {"memory": dict, "cpu": dict, "blockIO": dict, "pids": dict, "network": dict,
             "hugepageLimits": list, "rdma": dict, "unified": dict, "devices": list}  # fmt: skip


def update(container: Container, resources: dict[str, Any]) -> None:
    """Raises WrongState, InvalidConfig and the errors of `linux.cgroup`."""
    if container.status == "stopped":
        raise errors.WrongState("container not running")
    check(resources)
    wanted = {section: value for section, value in resources.items() if section != "devices"}
    if (wanted.get("pids") or {}).get("limit") == 0:
        del wanted["pids"]  # what Docker 20 sends for "as it is"; by flag, 0 was made 1
    container.manager.apply(wanted)


def update_rdt(container: Container, schemas: dict[str, str]) -> None:
    """New `l3CacheSchema` and `memBwSchema` for a container that has linux.intelRdt."""
    from sampan.linux import resctrl

    resctrl.check_mounted()
    rdt = container.config.linux.intel_rdt
    if not rdt:
        raise errors.WrongState(f"container {container.id!r} was made without linux.intelRdt")
    resctrl.Group({**rdt, "schemata": [], **schemas}, container.id).write()


def check(resources: Any) -> None:
    """The form of what a file or standard input gave."""
    if not isinstance(resources, dict):
        raise errors.InvalidConfig("resources: must be an object")
    for section, kind in _SECTIONS.items():
        value = resources.get(section)
        if value is not None and not isinstance(value, kind):
            what = "an object" if kind is dict else "a list"
            raise errors.InvalidConfig(f"resources.{section}: must be {what}, not {value!r}")


def from_flags(flags: dict[str, str]) -> dict[str, Any]:
    """`{"memory": "50M"}` → `{"memory": {"limit": 52428800}}`; an empty text is no flag at all."""
    resources: dict[str, Any] = {}
    for name, text in flags.items():
        if name in FLAGS and text != "":
            section, key, form = FLAGS[name]
            resources.setdefault(section, {})[key] = _value(name, text, form)
    if resources.get("pids", {}).get("limit") == 0:
        # A limit asked for by hand, and as strict as systemd can say it; see `update` for JSON.
        resources["pids"]["limit"] = 1
    return resources


def _value(name: str, text: str, form: str) -> int | str:
    if form == "text":
        return text
    try:
        if form == "size":
            return -1 if text == "-1" else _size(text)
        digits = text.removeprefix("-") if form == "signed" else text
        if not (digits.isascii() and digits.isdecimal()):
            raise ValueError(text)
        return int(text)
    except ValueError:
        raise errors.InvalidConfig(f"invalid value for {name}: {text!r}") from None


def _size(text: str) -> int:
    """Bytes of "64M", "1.5g", "64MiB", "100 kB": powers of 1024, as docker and runc read them."""
    number = text.rstrip("kKmMgGtTpPiIbB ")
    unit = text[len(number) :].strip().lower().removesuffix("b").removesuffix("i")
    if not (number.isascii() and number.replace(".", "", 1).isdecimal()) or unit not in _UNITS:
        raise ValueError(text)
    return int(float(number) * (1 << _UNITS[unit]))
