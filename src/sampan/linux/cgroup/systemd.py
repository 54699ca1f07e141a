"""The systemd driver: the cgroup is a scope (or slice) that systemd makes and may watch.

A cgroup is named "SLICE:PREFIX:NAME", as in runc: "machine.slice:libpod:web" is libpod-web.scope in
machine.slice; a NAME that ends in .slice is a slice itself. The unit is delegated: within it the
kernel's files are written as by the other managers, and limits are told to systemd too, so that
neither `systemctl show` nor a reload disagrees. systemd makes no scope without a process, and ends
one that gets empty: a placeholder sits in it until `occupied`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os

from sampan.linux import dbus, process
from sampan.linux.cgroup import unit_properties
from sampan.linux.cgroup.errors import InvalidLimit, NoCgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.linux.cgroup.stats import Stats

_MANAGER = dbus.Peer(
    destination="org.freedesktop.systemd1",
    path="/org/freedesktop/systemd1",
    interface="org.freedesktop.systemd1.Manager",
)
_EXISTS = "org.freedesktop.systemd1.UnitExists"
_GONE = "org.freedesktop.systemd1.NoSuchUnit"


class Systemd:
    def __init__(
        self, group: Manager, unit: str, slice_: str, properties: dict[str, tuple[str, Any]]
    ) -> None:
        self._group, self._unit, self._slice, self._properties = group, unit, slice_, properties
        self._placeholder = 0
        self._late: dict[str, Any] = {}  # limits that the placeholder would break

    def create(self) -> None:
        if not self._placeholder:
            with _connect() as systemd:
                self._start(systemd)
        try:
            self._group.create()
        except BaseException:
            self._leave()
            raise

    def _start(self, systemd: dbus.Connection) -> None:
        properties: list[tuple[str, Any]] = [
            ("Description", ("s", f"container {self._unit}")),
            ("Delegate", ("b", True)),
            ("CollectMode", ("s", "inactive-or-failed")),  # an end by the OOM killer leaves nothing
            *((f"{kind}Accounting", ("b", True)) for kind in ("CPU", "Memory", "Tasks", "IO")),
        ]
        if self._unit.endswith(".slice"):
            properties.append(("Wants", ("as", [self._slice])))
        else:
            self._placeholder = _placeholder()
            properties += [("Slice", ("s", self._slice)), ("PIDs", ("au", [self._placeholder]))]
        try:
            if "DefaultDependencies" not in self._properties:
                properties.append(("DefaultDependencies", ("b", False)))
            self._start_with(systemd, [*properties, *self._properties.items()])
        except BaseException:
            self._leave()
            raise

    def _start_with(self, systemd: dbus.Connection, properties: list[tuple[str, Any]]) -> None:
        words: tuple[Any, ...] = ("ssa(sv)a(sa(sv))", self._unit, "replace", properties, [])
        try:
            try:
                _job(systemd, "StartTransientUnit", *words)
            except dbus.DBusError as error:
                if error.name != _EXISTS:
                    raise
                if self._unit.endswith(".slice") or self._group.pids():
                    self._leave()  # taken as it is
                    return
                _stop(systemd, self._unit)  # the former one's end, of which systemd has yet to hear
                _job(systemd, "StartTransientUnit", *words)
        except dbus.DBusError as error:
            raise InvalidLimit(f"systemd refused for {self._unit}: {error}") from error

    def _leave(self) -> None:
        if self._placeholder:
            os.kill(self._placeholder, 9)
            os.waitpid(self._placeholder, 0)
            self._placeholder = 0

    def occupied(self) -> None:
        """A process of the container is in: the placeholder may go."""
        self._leave()
        late, self._late = self._late, {}
        if late:
            self.apply(late)

    def add(self, pid: int) -> None:
        self._group.add(pid)
        self.occupied()

    def apply(self, resources: dict[str, Any]) -> None:
        if self._placeholder and (resources.get("pids") or {}).get("limit") in (0, 1):
            self._late = {"pids": resources["pids"]}
            resources = {**resources, "pids": {"limit": 2}}
        told = unit_properties.of(resources)
        if any(self._properties.get(name) != value for name, value in told):
            with _connect() as systemd:
                try:
                    systemd.call(_MANAGER, "SetUnitProperties", "sba(sv)", self._unit, True, told)
                except dbus.DBusError as error:
                    raise InvalidLimit(f"systemd refused for {self._unit}: {error}") from error
            self._properties = {**self._properties, **dict(told)}
        self._group.apply(resources)

    def delete(self) -> None:
        self._leave()
        self._group.delete()
        with _connect() as systemd:
            _stop(systemd, self._unit)

    # Within the unit, the kernel's files are ours.

    def freeze(self) -> None:
        self._group.freeze()

    def thaw(self) -> None:
        self._group.thaw()

    def is_frozen(self) -> bool:
        return self._group.is_frozen()

    def pids(self) -> list[int]:
        return [pid for pid in self._group.pids() if pid != self._placeholder]

    def kill(self, signal: int = 9) -> None:
        self._leave()
        self._group.kill(signal)

    def stats(self) -> Stats:
        return self._group.stats()

    def oom_count(self) -> int:
        return self._group.oom_count()

    def oom_fd(self) -> int | None:
        return self._group.oom_fd()

    def paths(self) -> dict[str, str]:
        return self._group.paths()


def enclose(unit: str, pid: int, properties: dict[str, tuple[str, Any]]) -> None:
    """Put a process into this scope of the system's, which is made where it is not there."""
    more = [("Slice", ("s", "system.slice")), ("PIDs", ("au", [pid]))]
    with _connect() as systemd:
        try:
            _job(systemd, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace",
                 [*properties.items(), *more], [])  # fmt: skip
        except dbus.DBusError as error:
            if error.name != _EXISTS:
                raise
            systemd.call(_MANAGER, "AttachProcessesToUnit", "ssau", unit, "/", [pid])


def manager(name: str, properties: dict[str, tuple[str, Any]] | None = None) -> Systemd:
    """`properties` are for the unit when it is made.

    Raises InvalidLimit for a name that is none, NoCgroups where no systemd runs.
    """
    from sampan.linux import cgroup

    slice_, unit = unit_of(name)
    path = slice_path(slice_) + (f"/{unit}" if not unit.endswith(".slice") else "")
    if unit.endswith(".slice"):
        path = slice_path(unit)
    return Systemd(cgroup.manager(_root() + path), unit, slice_, properties or {})


def unit_of(name: str) -> tuple[str, str]:
    """(slice, unit): "machine.slice:libpod:web" → machine.slice, libpod-web.scope."""
    parts = name.split(":")
    if len(parts) != 3 or not parts[2] or "/" in name:
        raise InvalidLimit(f"cgroup path {name!r}: the systemd driver wants SLICE:PREFIX:NAME")
    slice_ = parts[0] or ("user.slice" if os.geteuid() else "system.slice")
    slice_path(slice_)
    if parts[2].endswith(".slice"):
        return slice_, parts[2]
    return slice_, f"{parts[1]}-{parts[2]}.scope" if parts[1] else f"{parts[2]}.scope"


def slice_path(slice_: str) -> str:
    """systemd.slice(5): a dash is a level. "a-b.slice" → /a.slice/a-b.slice; "-.slice" → ""."""
    if slice_ == "-.slice":
        return ""
    name = slice_.removesuffix(".slice")
    levels = name.split("-")
    if name == slice_ or "/" in name or "" in levels:
        raise InvalidLimit(f"cgroup path: {slice_!r} is no slice's name (systemd.slice(5))")
    return "".join(f"/{'-'.join(levels[: n + 1])}.slice" for n in range(len(levels)))


def _root() -> str:
    """Where the manager we talk to has its units: a user's are below user@UID.service."""
    if not os.geteuid():
        return ""
    peer = _MANAGER.replace(interface="org.freedesktop.DBus.Properties")
    with _connect() as systemd:
        (path,) = systemd.call(peer, "Get", "ss", _MANAGER.interface, "ControlGroup")
    return str(path).rstrip("/")


def _connect() -> dbus.Connection:
    """To systemd's own socket, else through the bus."""
    if os.geteuid():
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        places = ((f"{runtime}/systemd/private", False), (f"{runtime}/bus", True))
    else:
        places = (("/run/systemd/private", False), ("/run/dbus/system_bus_socket", True))
    for path, bus in places:
        try:
            made = dbus.connect(path, bus=bus)
        except OSError:
            continue
        if bus:
            made.listen("type='signal',interface='org.freedesktop.systemd1.Manager'")
            made.call(_MANAGER, "Subscribe")
        return made
    whose = "of this user " if os.geteuid() else ""
    raise NoCgroups(
        f"the systemd cgroup driver needs systemd: no manager {whose}listens at {places[0][0]}"
    )


def _job(systemd: dbus.Connection, method: str, signature: str, *values: Any) -> None:
    """Start a job and wait for its end."""
    (job,) = systemd.call(_MANAGER, method, signature, *values)
    _, _, unit, result = systemd.wait_signal("JobRemoved", lambda body: body[1] == job)
    if result not in ("done", "skipped"):
        raise NoCgroups(f"systemd: {method} of {unit}: {result} (see systemctl status {unit})")


def _stop(systemd: dbus.Connection, unit: str) -> None:
    """And forget a failure; one that is gone is fine."""
    for method, signature, more in (
        ("StopUnit", "ss", ("replace",)),
        ("ResetFailedUnit", "s", ()),
    ):
        try:
            if method == "StopUnit":
                _job(systemd, method, signature, unit, *more)
            else:
                systemd.call(_MANAGER, method, signature, unit)
        except dbus.DBusError as error:
            if error.name != _GONE:
                raise


def _placeholder() -> int:
    """A process that waits for its end, and ends with us."""
    parent, pid = os.getpid(), os.fork()
    if pid:
        return pid
    try:
        process.prctl(process.PR.SET_PDEATHSIG, 9)
        if os.getppid() == parent:
            _signal.pause()
    finally:
        os._exit(0)
