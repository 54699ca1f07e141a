"""`RUN --mount`: what a step's container sees besides its layers, from `with` to the step's end.

    with Mounts(given, process) as mounts:
        mounts.host_config, mounts.environment      what the container is created with
        mounts.stubs(tree)                          mount points that must not stay in its layer

Secrets lie in `run` (a tmpfs), a file each, for the time of the step.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from typing import TYPE_CHECKING, Any

from sampan.build import export, files
from sampan.build.providers import NoSuchAgent, NoSuchSecret
from sampan.engine.builds import scratch
from sampan.engine.builds.caches import Caches
from sampan.engine.builds.relays import Relay
from sampan.image import mounting
from sampan.kit.record import Record
from sampan.linux import mount as kernel
from sampan.linux import overlay

if TYPE_CHECKING:
    import threading

    from sampan.build.files import Files
    from sampan.build.instructions.run_mount import Mount
    from sampan.build.providers import Agents, Secrets
    from sampan.build.running import Bind, Process
    from sampan.engine.builds.caches import Fill
    from sampan.image.snapshots import Snapshotter


class Given(Record):
    """What the mounts of a build's steps are made from."""

    root: str
    run: str
    scratch: str
    snapshots: Snapshotter
    secrets: Secrets
    agents: Agents
    cancelled: threading.Event
    fill: Fill


class Mounts:
    def __init__(self, given: Given, process: Process) -> None:
        self._given, self._process = given, process
        self._held = contextlib.ExitStack()
        self._caches = Caches(given.root, given.scratch, self._held, given.cancelled, given.fill)
        self._targets: list[str] = []
        self.environment: dict[str, str] = {}
        self.host_config: dict[str, Any] = {}

    def __enter__(self) -> Mounts:
        with contextlib.ExitStack() as undo:
            undo.push(self._held)
            self._make()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _make(self) -> None:
        numbered = [*enumerate(self._process.mounts)]
        binds = self._process.binds
        self._caches.take([(n, m) for n, m in numbered if m.type == "cache"], binds)
        listed = []
        for number, mount in numbered:
            made = self._one(number, mount, binds.get(number))
            if made:
                listed.append(made)
        if self._process.script:
            listed.append(self._script())
        self._targets = [mount["Target"] for mount in listed]
        if listed:
            self.host_config = {"Mounts": listed}

    def _one(self, number: int, mount: Mount, bind: Bind | None) -> dict[str, Any] | None:
        source: str | None
        if mount.type == "tmpfs":
            options = {"SizeBytes": mount.size}
            return {**_mount("tmpfs", mount.target, mount.read_only), "TmpfsOptions": options}
        if mount.type == "cache":
            source = self._caches.at(number)
        elif mount.type == "secret":
            source = self._secret(mount)
        elif mount.type == "ssh":
            source = self._agent(mount)
        else:
            assert bind is not None
            source = self._bind(bind, read_only=mount.read_only)
        if source is None:
            return None
        return {**_mount("bind", mount.target, mount.read_only), "Source": source}

    # -- secrets and agents

    def _private(self) -> str:
        parent = f"{self._given.run}/build"
        os.makedirs(parent, mode=0o711, exist_ok=True)
        place = self._held.enter_context(tempfile.TemporaryDirectory(dir=parent))
        os.chmod(place, 0o711)
        return place

    def _secret(self, mount: Mount) -> str | None:
        try:
            value = self._given.secrets.get(mount.id)
        except NoSuchSecret:
            if mount.required:
                raise
            return None
        if mount.env is not None:
            name = mount.env or mount.id
            self.environment[name] = value.decode("utf-8", "surrogateescape")
        if not mount.target:
            return None
        mode = 0o400 if mount.mode is None else mount.mode
        return self._file(value, mode, mount.uid or 0, mount.gid or 0)

    def _file(self, data: bytes, mode: int, uid: int, gid: int) -> str:
        path = f"{self._private()}/file"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, mode)
            os.fchown(fd, uid, gid)
        return path

    def _agent(self, mount: Mount) -> str | None:
        try:
            self._given.agents.get(mount.id).close()  # is there one at all?
        except NoSuchAgent:
            if mount.required:
                raise
            return None
        path = f"{self._private()}/agent"
        mode = 0o600 if mount.mode is None else mount.mode
        owner = (mount.uid or 0, mount.gid or 0)
        self._held.enter_context(Relay(self._given.agents, mount.id, path, owner=owner, mode=mode))
        self.environment.setdefault("SSH_AUTH_SOCK", mount.target)
        return path

    def _script(self) -> dict[str, Any]:
        source = self._file(self._process.script, 0o755, 0, 0)
        return {**_mount("bind", self._process.args[0], True), "Source": source}

    # -- trees

    def _bind(self, bind: Bind, *, read_only: bool) -> str:
        place = tempfile.mkdtemp(dir=self._given.scratch)
        self._held.callback(scratch.remove, place)
        shown = f"{place}/fs"
        if bind.state is None:
            export.write_out(bind.files, bind.place, shown)
            return shown
        os.mkdir(shown)
        chain_id = bind.state.chain_id
        if read_only:
            mounting.attach(self._given.snapshots.view(chain_id), shown)
        else:
            _writable(self._given.snapshots.stack(chain_id), place, shown)
        # The place has no links: `files.resolve` has followed them inside the tree.
        return f"{shown}/{bind.place}" if bind.place else shown

    # -- what mounting leaves

    def stubs(self, tree: Files) -> list[str]:
        """The mount points that are made in the step's layer, deepest first."""
        found: set[str] = set()
        for target in self._targets:
            place = files.resolve(tree, target)
            while place and tree.entry(place) is None:
                found.add(place)
                place = posixpath.dirname(place)
        return sorted(found, reverse=True)


def _mount(kind: str, target: str, read_only: bool) -> dict[str, Any]:
    return {"Type": kind, "Target": target, "ReadOnly": read_only}


def _writable(stack: list[str], place: str, target: str) -> None:
    """An overlay whose upper layer is thrown away: what is written to such a mount is not kept."""
    if not stack:
        return  # nothing of an empty stage can be hurt
    for name in ("upper", "work"):
        os.mkdir(f"{place}/{name}")
    layers = ":".join(stack)
    overlay.mount(
        target, (f"lowerdir={layers}", f"upperdir={place}/upper", f"workdir={place}/work")
    )
    kernel.mount(None, target, None, kernel.MS.PRIVATE)
